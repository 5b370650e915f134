package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// The environment of commands that talk to a running gateway.
const (
	tokenVariable  = "HEADRACE_ADMIN_TOKEN"
	serverVariable = "HEADRACE_ADMIN_URL"
	defaultServer  = "http://127.0.0.1:8081"
)

// remoteHelp ends the help of commands that talk to a running gateway.
const remoteHelp = "\nTalks to the admin API at --server or " + serverVariable + ". The token comes from --token-file or " + tokenVariable + "."

// remote is the admin API of a running gateway, as commands see it.
type remote struct {
	server, tokenFile, actor, reason string
	json                             bool
	out                              io.Writer
}

// command makes a command that talks to the admin API, with its flags.
func (r *remote) command(cmd *cobra.Command) *cobra.Command {
	cmd.Long = cmp.Or(cmd.Long, cmd.Short+".") + remoteHelp
	flags := cmd.PersistentFlags()
	flags.StringVar(&r.server, "server", "", "address of the admin API (default "+serverVariable+", or "+defaultServer+")")
	flags.StringVar(&r.tokenFile, "token-file", "", "file with the admin token (default: "+tokenVariable+" has the token)")
	flags.StringVar(&r.actor, "actor", os.Getenv("USER"), "who acts, for the audit, behind a token that several have")
	flags.BoolVar(&r.json, "json", false, "print what the admin API answers")
	cmd.PersistentPreRun = func(cmd *cobra.Command, _ []string) { r.out = cmd.OutOrStdout() }
	return cmd
}

// reasoned adds the flag that says why.
func (r *remote) reasoned(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&r.reason, "reason", "", "why, for the audit")
	return cmd
}

// token reads the admin token; empty when there is none.
func (r *remote) token() (string, error) {
	if r.tokenFile == "" {
		return os.Getenv(tokenVariable), nil
	}
	text, err := os.ReadFile(r.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// answer is what the admin API says to a call that it accepts.
type answer struct {
	data []byte
	etag string
}

// decode reads the answer's JSON.
func (a answer) decode(v any) error {
	if err := json.Unmarshal(a.data, v); err != nil {
		return fmt.Errorf("the admin API's answer cannot be read: %w", err)
	}
	return nil
}

// largestAnswer bounds what is read of an answer.
const largestAnswer = 256 << 20

// call makes a call below /admin/v1. header are pairs of names and values. A
// refusal is a *refused.
func (r *remote) call(ctx context.Context, method, path string, body any, header ...string) (answer, error) {
	resp, err := r.open(ctx, method, path, body, header...)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := readAnswer(resp)
	return answer{data, resp.Header.Get("ETag")}, err
}

func readAnswer(resp *http.Response) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
	if err != nil {
		return nil, fmt.Errorf("the admin API's answer broke off: %w", err)
	}
	return data, nil
}

// open is call for an answer that may be long: its body is to be read and closed.
func (r *remote) open(ctx context.Context, method, path string, body any, header ...string) (*http.Response, error) {
	data, kind, err := encodeBody(body)
	if err != nil {
		return nil, err
	}
	base := cmp.Or(r.server, os.Getenv(serverVariable), defaultServer)
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+"/admin/v1/"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if r.actor != "" {
		req.Header.Set("X-Actor", r.actor)
	}
	if r.reason != "" {
		req.Header.Set("X-Reason", r.reason)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the admin API cannot be reached: %w; set --server", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	if data, err = readAnswer(resp); err != nil {
		return nil, err
	}
	return nil, refusedBy(resp.StatusCode, data)
}

// raw is a body that is sent as it is.
type raw []byte

func encodeBody(body any) (data []byte, kind string, err error) {
	if text, ok := body.(raw); ok {
		return text, "application/octet-stream", nil
	}
	if body == nil {
		return nil, "", nil
	}
	data, err = json.Marshal(body)
	return data, "application/json", err
}

// get reads a thing.
func (r *remote) get(ctx context.Context, path string) (answer, error) {
	return r.call(ctx, http.MethodGet, path, nil)
}

// refused is a problem document of the admin API.
type refused struct {
	Status   int               `json:"status"`
	Title    string            `json:"title"`
	Detail   string            `json:"detail"`
	Problems []source.Problem  `json:"problems"`
	Changes  []registry.Change `json:"changes"`
	Uses     []registry.Use    `json:"uses"`
	Faults   []specs.Violation `json:"violations"`
}

func refusedBy(status int, data []byte) error {
	e := &refused{}
	if json.Unmarshal(data, e) != nil || e.Title == "" {
		return fmt.Errorf("the admin API answered %d", status)
	}
	e.Status = status
	return e
}

// Error says it in lines: each place stands as editors expect it.
func (e *refused) Error() string {
	lines := []string{e.Title}
	if e.Detail != "" {
		lines[0] = e.Detail
	}
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	for _, c := range e.Changes {
		lines = append(lines, c.String())
	}
	for _, u := range e.Uses {
		lines = append(lines, "  "+u.String())
	}
	for _, v := range e.Faults {
		if !strings.Contains(lines[0], v.Detail) { // the first one is often the detail
			lines = append(lines, "  "+strings.TrimSpace(v.In+" "+v.Name+v.Pointer)+": "+v.Detail)
		}
	}
	return strings.Join(lines, "\n")
}

// missing tells that there is no such thing.
func missing(err error) bool {
	var e *refused
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// printJSON prints an answer as it is, for programs.
func (r *remote) printJSON(a answer) error {
	var b bytes.Buffer
	if err := json.Indent(&b, a.data, "", "  "); err != nil {
		_, err = r.out.Write(a.data)
		return err
	}
	_, err := fmt.Fprintln(r.out, strings.TrimSpace(b.String()))
	return err
}

// table prints rows under a head.
func (r *remote) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}
