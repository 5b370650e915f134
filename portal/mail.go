package portal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	netmail "net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/headrace/headrace/gateway/ledger"
)

// Sender hands a mail on; an error means that it may be tried again. It must be
// safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, to, subject, text string) error
}

// SMTP is a mail server, and who sends by it.
type SMTP struct {
	// Server is HOST:PORT, From the sender as in a mail's head.
	Server, From string
	// Username and Password log in there; nobody does when Username is empty.
	Username, Password string
	// TLS is starttls, implicit or off.
	TLS string
}

// mailPatience is how long the whole conversation with a mail server may take.
const mailPatience = 30 * time.Second

// Send gives one mail to the server.
func (s *SMTP) Send(ctx context.Context, to, subject, text string) error {
	host, port, err := net.SplitHostPort(s.Server)
	if err != nil {
		return fmt.Errorf("the mail server's address: %w", err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return fmt.Errorf("the mail server's port: %w", err)
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(mailPatience)}
	switch s.TLS {
	case "implicit":
		options = append(options, mail.WithSSL())
	case "off":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.Username), mail.WithPassword(s.Password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return err
	}
	m := mail.NewMsg()
	if err := errors.Join(m.From(s.From), m.To(to)); err != nil {
		return err
	}
	m.Subject(subject)
	m.SetBodyString(mail.TypeTextPlain, text)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // no answers of machines (RFC 3834)
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	return client.DialAndSendWithContext(ctx, m)
}

// letter is a mail before it is put on its way.
type letter struct {
	to, subject string
	// lines are the paragraphs of the text.
	lines []string
}

// post puts a mail on its way, with the tickets whose secrets stand in it. Without
// an address nobody gets it, and that takes as long.
func (p *Portal) post(ctx context.Context, l letter, tickets ...ledger.Ticket) error {
	m := ledger.Mail{To: l.to, Subject: p.options.Title + ": " + l.subject, Body: []byte(p.text(l))}
	if l.to == "" {
		m.State, m.Body = ledger.MailNobody, nil
	}
	_, err := p.options.Store.PutMail(ctx, m, tickets...)
	if err == nil {
		select {
		case p.mails <- struct{}{}:
		default: // it has been told already
		}
	}
	return err
}

func (p *Portal) text(l letter) string {
	return strings.Join(append(l.lines, "-- \n"+p.options.Title+"\n"+p.options.URL), "\n\n") + "\n"
}

// ticket makes a ticket and its secret.
func (p *Portal) ticket(sort, about string, body []byte, life time.Duration) (ledger.Ticket, string) {
	secret := newSecret()
	return ledger.Ticket{Hash: ledger.HashOf([]byte(secret)), Sort: sort, About: about, Body: body, Expires: time.Now().Add(life)}, secret
}

const (
	mailsAtOnce = 10
	mailLease   = 5 * time.Minute
	// mailLook is how often mails are looked for that others have put on their way.
	mailLook = 15 * time.Second
	// mostAttempts spreads over nearly two days.
	mostAttempts = 16
	mailsKept    = 30 * 24 * time.Hour
	forgetEvery  = time.Hour
)

// again is when a mail is tried next that has failed so often: a minute, two, four
// and so on, up to six hours.
func again(attempts int) time.Duration { return min(time.Minute<<min(attempts-1, 12), 6*time.Hour) }

// Run sends mails and forgets what has expired, until ctx ends.
func (p *Portal) Run(ctx context.Context) {
	look, forget := time.NewTicker(mailLook), time.NewTicker(forgetEvery)
	defer look.Stop()
	defer forget.Stop()
	for {
		if err := p.deliver(ctx); err != nil && ctx.Err() == nil {
			p.options.Log.Error("mails cannot be sent", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-p.mails:
		case <-look.C:
		case <-forget.C:
			if err := p.options.Store.ForgetPeople(ctx, mailsKept); err != nil && ctx.Err() == nil {
				p.options.Log.Error("what has expired in the portal cannot be forgotten", "error", err.Error())
			}
		}
	}
}

// deliver sends what is due.
func (p *Portal) deliver(ctx context.Context) error {
	if p.options.Store == nil || p.options.Mail == nil && !p.options.Outbox {
		return nil
	}
	for {
		list, err := p.options.Store.ClaimMails(ctx, mailsAtOnce, mailLease)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, m := range list {
			if err := p.deliverOne(ctx, m); err != nil {
				return err
			}
		}
	}
}

func (p *Portal) deliverOne(ctx context.Context, m ledger.Mail) error {
	if p.options.Mail == nil {
		return p.options.Store.MailDone(ctx, m.ID, true) // it is read in the outbox
	}
	err := p.options.Mail.Send(ctx, m.To, m.Subject, string(m.Body))
	switch {
	case err == nil:
		return p.options.Store.MailDone(ctx, m.ID, false)
	case ctx.Err() != nil:
		return nil // its lease ends, and it is tried again
	}
	p.options.Log.Warn("a mail was not sent", "mail", m.ID, "attempt", m.Attempts, "error", err.Error())
	next := time.Now().Add(again(m.Attempts))
	if m.Attempts >= mostAttempts || refusedForGood(err) {
		next = time.Time{}
	}
	return p.options.Store.MailTrouble(ctx, m.ID, err.Error(), next)
}

// refusedForGood tells that the server does not want the mail at all (5xx).
func refusedForGood(err error) bool {
	var sent *mail.SendError
	return errors.As(err, &sent) && !sent.IsTemp() && sent.ErrorCode() >= 500
}

// address reads an e-mail address that somebody has written, in small letters; empty
// when it is none.
func address(text string) string {
	text = strings.TrimSpace(text)
	a, err := netmail.ParseAddress(text)
	if err != nil || a.Address != text || len(text) > 254 || !strings.Contains(text, "@") || strings.ContainsAny(text, "\r\n\"(),:;<>[\\] ") {
		return ""
	}
	return strings.ToLower(text)
}

// outbox shows what would be mailed. For demonstrations alone: whoever sees it may
// confirm any address.
func (p *Portal) outbox(c *call) error {
	if !p.options.Outbox {
		return c.missing()
	}
	list, err := p.options.Store.Mails(c.Request().Context(), 100)
	if err != nil {
		return err
	}
	mails := make([]shownMail, len(list))
	for i, m := range list {
		mails[i] = shownMail{m, p.parts(string(m.Body))}
	}
	return c.page("outbox", "Outbox", mails)
}

type shownMail struct {
	ledger.Mail
	Parts []mailPart
}

// mailPart is text, or a link into the portal.
type mailPart struct{ Text, Link string }

var links = regexp.MustCompile(`https?://\S+`)

// parts finds the portal's own links in a text.
func (p *Portal) parts(text string) []mailPart {
	var list []mailPart
	for {
		at := links.FindStringIndex(text)
		if at == nil {
			return append(list, mailPart{Text: text})
		}
		link := text[at[0]:at[1]]
		list = append(list, mailPart{Text: text[:at[0]]})
		if path, ok := strings.CutPrefix(link, p.options.URL+"/"); ok {
			list = append(list, mailPart{Text: link, Link: "/" + path})
		} else {
			list = append(list, mailPart{Text: link})
		}
		text = text[at[1]:]
	}
}

var errNoMail = &failure{status: http.StatusServiceUnavailable, problem: "the portal cannot send mails: nobody has told it how"}

// posts refuses what needs a mail where none can be sent.
func (p *Portal) posts() error {
	if p.options.Mail == nil && !p.options.Outbox {
		return errNoMail
	}
	return nil
}
