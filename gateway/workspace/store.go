package workspace

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Counters say where counts are kept, in one string:
//
//	memory:
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
//	redis+sentinel://[…@]HOST[:PORT],…/MASTER[/DB]
//	redis+cluster://[…@]HOST[:PORT],…
//
// rediss in place of redis means TLS. PASSWORD is a reference, ${env:NAME} or
// ${file:/path}: the string holds no secret, and prints as it was written.
type Counters struct {
	text string

	// Hosts are HOST:PORT; none when counts are kept in memory.
	Hosts []string
	// Master is the name that Sentinels know the servers by.
	Master  string
	Cluster bool
	TLS     bool
	User    string
	// Password is zero when there is none.
	Password source.Secret
	DB       int
}

// countersForm is told when an address cannot be read; the address never is,
// because it may hold a secret.
const countersForm = "write memory:, redis://HOST:PORT/DB, redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST, with rediss for TLS, and with USER:${env:NAME}@ before the host where a password is needed"

// InMemory tells that every process counts for itself.
func (c Counters) InMemory() bool { return len(c.Hosts) == 0 }

func (c Counters) String() string { return c.text }

// DecodeNode parses the notation above. Problems do not repeat what was written.
func (c *Counters) DecodeNode(n source.Node, ps *source.Problems) {
	if n.Kind() != source.String {
		ps.Add(n, "expected a string, found "+n.Kind().Named(), countersForm)
		return
	}
	if err := c.parse(n.Text()); err != nil {
		ps.Add(n, "is not an address of the counters", err.Error())
	}
}

func (c *Counters) parse(text string) error {
	parsed := Counters{text: text}
	if text == "memory:" {
		*c = parsed
		return nil
	}
	scheme, rest, ok := strings.Cut(parsed.text, "://")
	if !ok {
		return errors.New(countersForm)
	}
	base, sort, _ := strings.Cut(scheme, "+")
	if base != "redis" && base != "rediss" || sort == "" && strings.Contains(scheme, "+") {
		return errors.New(countersForm)
	}
	parsed.TLS = base == "rediss"
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		if err := parsed.login(rest[:at]); err != nil {
			return err
		}
		rest = rest[at+1:]
	}
	if strings.ContainsAny(rest, "?#") {
		return errors.New("an address of Redis ends with its path; " + countersForm)
	}
	hosts, path, _ := strings.Cut(rest, "/")
	port := "6379"
	var err error
	switch sort {
	case "":
		if strings.Contains(hosts, ",") {
			return errors.New("redis:// names one host; several belong to redis+sentinel:// or redis+cluster://")
		}
		err = parsed.database(path)
	case "sentinel":
		port = "26379"
		var db string
		if parsed.Master, db, _ = strings.Cut(path, "/"); parsed.Master == "" {
			return errors.New("the name of the master is missing; write redis+sentinel://HOST,HOST/MASTER")
		}
		err = parsed.database(db)
	case "cluster":
		if parsed.Cluster = true; path != "" && path != "0" {
			return errors.New("a Cluster has no databases; leave the path away")
		}
	default:
		return errors.New(countersForm)
	}
	if err != nil {
		return err
	}
	if err := parsed.hosts(hosts, port); err != nil {
		return err
	}
	*c = parsed
	return nil
}

// login reads USER:PASSWORD.
func (c *Counters) login(text string) error {
	user, password, ok := strings.Cut(text, ":")
	if !ok || c.Password.UnmarshalText([]byte(password)) != nil {
		return errors.New("a password must not stand in a file; write redis://USER:${env:NAME}@HOST or redis://:${file:/path}@HOST")
	}
	c.User = user
	return nil
}

func (c *Counters) database(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<20 {
		return errors.New("the path is the number of a database, for example redis://HOST:6379/0")
	}
	c.DB = n
	return nil
}

// hosts reads HOST[:PORT],….
func (c *Counters) hosts(text, port string) error {
	for host := range strings.SplitSeq(text, ",") {
		address := host
		if _, _, err := net.SplitHostPort(host); err != nil {
			address = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		name, number, err := net.SplitHostPort(address)
		if n, bad := strconv.Atoi(number); err != nil || bad != nil || n < 1 || n > 65535 || !hostName.MatchString(name) {
			return errors.New("a host of Redis is written HOST:PORT, for example redis.example.com:6379")
		}
		c.Hosts = append(c.Hosts, address)
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9._:%-]+$`)

// JSONSchema describes the notation for editors.
func (Counters) JSONSchema() map[string]any {
	return map[string]any{
		"type": "string", "pattern": `^(memory:|rediss?(\+(sentinel|cluster))?://.+)$`,
		"examples": []any{"memory:", "redis://localhost:6379", "rediss://headrace:${env:REDIS_PASSWORD}@redis.example.com:6379/0", "redis+sentinel://s1,s2,s3/main", "redis+cluster://n1,n2,n3"},
	}
}

// Name is what this process is called among the replicas: as configured, or
// else as the host is.
func (s *Stores) Name() string {
	if s.Replica != "" {
		return s.Replica
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "headrace"
}

var replicaName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// check finds what decoding cannot see.
func (s *Stores) check(n source.Node, ps *source.Problems) {
	if s.Replica != "" && !replicaName.MatchString(s.Replica) {
		ps.Add(n.At("replica"), fmt.Sprintf("%q is not a name for a replica", s.Replica), "letters, digits, dots and hyphens; each replica has its own")
	}
	if !s.Counters.Password.IsZero() {
		if _, err := s.Counters.Password.Resolve(); err != nil {
			ps.Add(n.At("counters"), err.Error(), "")
		}
	}
}
