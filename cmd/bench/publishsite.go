package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/specs/lint"
)

// site is several replicas on one ledger, with the system that they lead to.
type site struct {
	headrace string
	dir      string
	postgres *postgrestest.Server
	ledger   string
	upstream *process
	replicas []*siteReplica
	http     *http.Client
}

// siteReplica is a gateway whose workspace has headrace.yaml alone: everything
// else comes from the registry.
type siteReplica struct {
	*process
	name, dir, admin string
}

func newSite(headrace string, replicas int) (*site, error) {
	s := &site{headrace: headrace, http: &http.Client{Timeout: 5 * time.Minute}}
	if err := s.open(replicas); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) open(replicas int) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "headrace-publish-"); err != nil {
		return err
	}
	if s.postgres, err = postgrestest.Start(); err != nil {
		return err
	}
	if s.ledger, err = s.postgres.Create(); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if s.upstream, err = start(address, nil, self, "upstream", address); err != nil {
		return err
	}
	for i := range replicas {
		if err := s.add(fmt.Sprintf("replica-%d", i+1)); err != nil {
			return err
		}
	}
	return nil
}

// add starts one replica more.
func (s *site) add(name string) error {
	var addresses [2]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	// The rules of lint are looked at and stop nothing: the documents are made up.
	text := fmt.Sprintf("listen: {gateway: %q, admin: %q}\nstores: {ledger: %q, replica: %s}\ntelemetry: {level: warn}\nlint:\n  rules:\n", addresses[0], addresses[1], s.ledger, name)
	for _, r := range lint.Rules() {
		if r.Severity == lint.Error {
			text += "    " + r.Name + ": warning\n"
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "headrace.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	r := &siteReplica{process: &process{address: addresses[0]}, name: name, dir: dir, admin: addresses[1]}
	s.replicas = append(s.replicas, r)
	return s.start(r)
}

// start starts a replica, and waits until it answers.
func (s *site) start(r *siteReplica) error {
	p, err := startWithin(time.Minute, r.address, nil, s.headrace, "serve", r.dir)
	if err != nil {
		return err
	}
	r.process = p
	return nil
}

func (s *site) close() {
	for _, r := range s.replicas {
		if r.cmd != nil {
			r.stop()
		}
	}
	if s.upstream != nil {
		s.upstream.stop()
	}
	if s.postgres != nil {
		s.postgres.Stop()
	}
	os.RemoveAll(s.dir)
}

// addresses are those of the gateways.
func (s *site) addresses() []string {
	var list []string
	for _, r := range s.replicas {
		list = append(list, r.address)
	}
	return list
}

// memory is what each replica holds, in megabytes.
func (s *site) memory() []float64 {
	var list []float64
	for _, r := range s.replicas {
		list = append(list, r.resident())
	}
	return list
}

// cpu is the time of all replicas on the cores so far.
func (s *site) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, r := range s.replicas {
		used, err := r.process.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// call calls the admin API of a replica, and reads the answer into into.
func (s *site) call(r *siteReplica, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, "http://"+r.admin+"/admin/v1/"+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Reason", "a benchmark")
	if method != http.MethodPost {
		req.Header.Set("If-Match", "*")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s answered %d: %.2000s", method, path, resp.StatusCode, data)
	case into == nil:
		return nil
	}
	return json.Unmarshal(data, into)
}

// apply makes the registry say what the files say.
func (s *site) apply(files map[string][]byte) error {
	var plan struct{ Revision int64 }
	if err := s.call(s.replicas[0], "POST", "plan", map[string]any{"files": files}, &plan); err != nil {
		return err
	}
	return s.call(s.replicas[0], "POST", "apply", map[string]any{"files": files, "revision": plan.Revision}, nil)
}

// standing is how a replica's last load of a table ended.
type standing struct {
	Operations int
	Reload     struct {
		TookMillis, Served, Registry int64
		Attempts                     int
		Accepted                     bool
	}
}

func (s *site) standing(r *siteReplica) (standing, error) {
	var now standing
	err := s.call(r, "GET", "status", nil, &now)
	return now, err
}

// settled waits until all replicas serve what the registry holds.
func (s *site) settled() error {
	var now struct{ Revision int64 }
	if err := s.call(s.replicas[0], "GET", "revisions", nil, &now); err != nil {
		return err
	}
	for _, r := range s.replicas {
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			at, err := s.standing(r)
			if err != nil {
				return err
			}
			if at.Reload.Served >= now.Revision {
				break
			}
			if time.Since(began) > time.Minute {
				return fmt.Errorf("%s does not serve revision %d: %s", r.name, now.Revision, strings.TrimSpace(r.log.String()))
			}
		}
	}
	return nil
}

// newKey makes a key for an app; it returns its text and its name.
func (s *site) newKey(app string) (text, name string, err error) {
	var made struct{ Name, Secret string }
	err = s.call(s.replicas[0], "POST", "apps/"+app+"/keys", map[string]any{}, &made)
	if err == nil && made.Secret == "" {
		err = errors.New("no key was made")
	}
	return made.Secret, made.Name, err
}
