package workspace

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Writes bound what the write buffer holds, and for how long.
type Writes struct {
	Most      int             `yaml:"most" default:"1000000" min:"1" doc:"Most writes that are held for one system; beyond it they are refused with 503."`
	Bytes     source.Size     `yaml:"bytes" default:"4GiB" min:"1MiB" doc:"Most bytes that are held for one system."`
	Share     int             `yaml:"share" default:"50" min:"1" max:"100" doc:"Part of it in percent that one app may fill."`
	Keys      source.Duration `yaml:"keys" default:"24h" min:"1m" max:"90d" doc:"How long an Idempotency-Key stands for its first request."`
	Attempts  int             `yaml:"attempts" default:"8" min:"1" max:"100" doc:"How often a write is sent whose answer is lost each time, before a person has to decide. Overload and outages do not count."`
	Expiry    source.Duration `yaml:"expiry" default:"7d" doc:"How long a write is held before it expires; 0s for ever."`
	Gap       source.Duration `yaml:"gap" default:"1m" doc:"How long a sequence waits for a missing number."`
	Keep      source.Duration `yaml:"keep" default:"30d" doc:"How long writes that are over are kept; 0s for ever."`
	KeepDead  source.Duration `yaml:"keep_dead" default:"90d" doc:"How long those are kept that need a person and stop nothing; 0s for ever."`
	Archive   string          `yaml:"archive" doc:"Folder in which writes are kept that are deleted because of their age, as headrace writes export prints them, in a file for each day; relative to the state directory, and of each replica its own. Nothing is kept without it."`
	KeepAudit source.Duration `yaml:"keep_audit" default:"365d" doc:"How long it is known what operators did to writes, and who changed the registry; 0s for ever."`
	Node      source.Node     `yaml:",node"`
}

// Ledger says where the writes are kept, in one string:
//
//	sqlite:PATH
//	postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?OPTIONS]
//
// PASSWORD is a reference, ${env:NAME} or ${file:/path}: the string holds no
// secret, and prints as it was written. A relative PATH stands below the state
// directory.
type Ledger struct {
	text     string
	password source.Secret
}

const ledgerForm = "write sqlite:FILE, or postgres://USER:${env:NAME}@HOST:PORT/DATABASE"

func (l Ledger) String() string { return l.text }

// DecodeNode parses the notation above. Problems do not repeat what was written.
func (l *Ledger) DecodeNode(n source.Node, ps *source.Problems) {
	if n.Kind() != source.String {
		ps.Add(n, "expected a string, found "+n.Kind().Named(), ledgerForm)
		return
	}
	if err := l.parse(n.Text()); err != nil {
		ps.Add(n, "is not an address of the ledger", err.Error())
	}
}

// UnmarshalText parses the notation above.
func (l *Ledger) UnmarshalText(text []byte) error { return l.parse(string(text)) }

// JSONSchema describes the notation for editors.
func (Ledger) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^(sqlite:|postgres://|postgresql://)`, "examples": []any{"sqlite:headrace.db", "postgres://headrace:${env:LEDGER_PASSWORD}@db/headrace"}}
}

var passwordRef = regexp.MustCompile(`^(postgres(?:ql)?://[^/@?#]*?:)(\$\{[^}]*\})(@.*)$`)

// standIn takes the place of the password while the rest is looked at.
const standIn = "password"

func (l *Ledger) parse(text string) error {
	parsed := Ledger{text: text}
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if path == "" || strings.ContainsAny(path, "?#\x00") {
			return errors.New("sqlite: and the path of a file")
		}
		*l = parsed
		return nil
	}
	plain := text
	if m := passwordRef.FindStringSubmatch(text); m != nil {
		if err := parsed.password.UnmarshalText([]byte(m[2])); err != nil {
			return err
		}
		plain = m[1] + standIn + m[3]
	}
	u, err := url.Parse(plain)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.Query().Get("host") == "" {
		return errors.New(ledgerForm)
	}
	if _, inline := u.User.Password(); inline && parsed.password.IsZero() || u.Query().Has("password") {
		return errors.New("a password must not stand in a file; write ${env:NAME} or ${file:/path} in its place")
	}
	*l = parsed
	return nil
}

// Resolve gives the address as the ledger opens it: with its password, and
// with a relative path below the directory dir.
func (l Ledger) Resolve(dir string) (string, error) {
	if path, ok := strings.CutPrefix(l.text, "sqlite:"); ok {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return "sqlite:" + path, nil
	}
	if l.password.IsZero() {
		return l.text, nil
	}
	password, err := l.password.Resolve()
	if err != nil {
		return "", err
	}
	m := passwordRef.FindStringSubmatch(l.text)
	return m[1] + url.QueryEscape(password) + m[3], nil
}

// check finds what decoding cannot see.
func (l Ledger) check(n source.Node, ps *source.Problems) {
	if !l.password.IsZero() {
		if _, err := l.password.Resolve(); err != nil {
			ps.Add(n, err.Error(), "")
		}
	}
}

// StateDirectory is where a process keeps its state that serves a workspace:
// STATE_DIRECTORY where systemd or a container sets it, else the hidden folder
// .headrace in the workspace, which is not read as a part of it.
func StateDirectory(workspace string) (string, error) {
	dir := os.Getenv("STATE_DIRECTORY")
	if dir == "" {
		dir = filepath.Join(workspace, ".headrace")
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		return dir, nil
	}
	if strings.Contains(dir, ":") {
		return "", errors.New("STATE_DIRECTORY names more than one directory")
	}
	return dir, os.MkdirAll(dir, 0o700)
}
