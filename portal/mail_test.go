package portal

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/headrace/headrace/gateway/ledger"
)

// postOffice is a mail server that keeps what it is given, and refuses what it is told to.
type postOffice struct {
	mu     sync.Mutex
	refuse error
	got    []string
}

func (p *postOffice) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &postSession{office: p}, nil
}

type postSession struct {
	office *postOffice
	to     string
}

func (s *postSession) Reset()                               {}
func (s *postSession) Logout() error                        { return nil }
func (s *postSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.to = to
	return s.office.refuse
}
func (s *postSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.got = append(s.office.got, s.to+"\n"+string(text))
	return err
}

// newPostOffice opens a mail server on loopback.
func newPostOffice(t *testing.T) (*postOffice, *SMTP) {
	office := &postOffice{}
	server := smtp.NewServer(office)
	server.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return office, &SMTP{Server: l.Addr().String(), From: "Test APIs <apis@headrace.example>", TLS: "off"}
}

func (p *postOffice) say(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = err
}

// TestMail: a mail is tried again while the server is in trouble, sent once, and its
// text is gone then; one that the server does not want is given up.
func TestMail(t *testing.T) {
	office, sender := newPostOffice(t)
	w := newTown(t, func(o *Options) { o.Mail, o.Outbox = sender, false })
	office.say(&smtp.SMTPError{Code: 451, Message: "later"})
	w.ok(w.portal.post(w.ctx, letter{"ada@example.com", "hello", []string{"Grüße,", "a link"}}))
	w.ok(w.portal.deliver(w.ctx))
	list, err := w.store.Mails(w.ctx, 10)
	w.ok(err)
	if m := list[0]; m.State != ledger.MailDue || m.Attempts != 1 || !strings.Contains(m.Problem, "451") || !m.Due.After(time.Now().Add(30*time.Second)) || m.Body == nil {
		t.Fatalf("%+v", m)
	}
	office.say(nil)
	w.ok(w.store.MailTrouble(w.ctx, list[0].ID, "", time.Now().Add(-time.Second))) // it is due
	w.ok(w.portal.deliver(w.ctx))
	w.ok(w.portal.deliver(w.ctx))
	if len(office.got) != 1 {
		t.Fatalf("%d mails came", len(office.got))
	}
	for _, text := range []string{"ada@example.com\n", "Subject: Test APIs: hello", "Auto-Submitted: auto-generated", "From: \"Test APIs\" <apis@headrace.example>"} {
		if !strings.Contains(office.got[0], text) {
			t.Errorf("the mail has not %q:\n%s", text, office.got[0])
		}
	}
	m, err := w.store.Mail(w.ctx, list[0].ID)
	w.ok(err)
	if m.State != ledger.MailSent || m.Body != nil {
		t.Errorf("%+v", m)
	}
	office.say(&smtp.SMTPError{Code: 550, Message: "no such person"})
	w.ok(w.portal.post(w.ctx, letter{"nobody@example.com", "hello", nil}))
	w.ok(w.portal.post(w.ctx, letter{"", "hello", nil})) // to nobody
	w.ok(w.portal.deliver(w.ctx))
	list, err = w.store.Mails(w.ctx, 10)
	w.ok(err)
	if len(list) != 2 || list[0].State != ledger.MailFailed {
		t.Errorf("%+v", list)
	}
	office.say(errors.New("asleep"))
	if err := sender.Send(w.ctx, "ada@example.com\r\nBcc: eve@example.com", "x", "y"); err == nil {
		t.Error("a line break went into the head")
	}
	encrypted := *sender
	encrypted.TLS = "starttls"
	office.say(nil)
	if err := encrypted.Send(w.ctx, "ada@example.com", "x", "y"); err == nil {
		t.Error("a mail went in plain text where TLS is asked for")
	}
}

func TestMailAttempts(t *testing.T) {
	var sum time.Duration
	for n := 1; n < mostAttempts; n++ {
		sum += again(n)
	}
	if again(1) != time.Minute || again(3) != 4*time.Minute || again(100) != 6*time.Hour || sum < 24*time.Hour || sum > 48*time.Hour {
		t.Errorf("%s, %s, %s; %s in all", again(1), again(3), again(100), sum)
	}
}

// Whoever writes cannot leave the quotation.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{"a": "> a", "a\nb": "> a\n> b", "a\r\nb\rc": "> a\n> b\n> c", "a\u2028b\vc": "> a\n> b\n> c"} {
		if got := quote(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		" Ada@Example.com ": "ada@example.com", "ada+shop@example.com": "ada+shop@example.com", "Ada <ada@example.com>": "", "ada": "", "": "",
		"ada@example.com\r\nBcc: x@example.com": "", "\"a b\"@example.com": "", "ada@example.com,eve@example.com": "", strings.Repeat("a", 300) + "@example.com": "",
	} {
		if got := address(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestOutbox: the portal's own links are links, others are text.
func TestOutbox(t *testing.T) {
	w := newTown(t)
	w.ok(w.portal.post(w.ctx, letter{"ada@example.com", "hello <script>", []string{"here " + w.portal.options.URL + "/confirm?token=A", "there https://evil.example/x <b>"}}))
	b := w.browser()
	page := b.get("/outbox").is(b, 200, `<a href="/confirm?token=A">`, "https://evil.example/x &lt;b&gt;", "hello &lt;script&gt;")
	if strings.Contains(page.body, `href="https://evil`) {
		t.Error("a link leads away")
	}
}
