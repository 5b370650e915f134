package portal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// writesPage lists the writes of an app.
type writesPage struct {
	App     *gateway.App // nil when the organisation has none
	Apps    []appChoice
	Views   []appChoice
	Find    string
	Rows    []writeRow
	More    string // the next page; empty at the end
	Waiting []writeRow
}

// writeRow is a line of the list.
type writeRow struct {
	Op opName
	*ledger.Record
}

// Word is the state in one word for people.
func (r writeRow) Word() string { return stateWord(r.Record) }

// Badge is the state's colour.
func (r writeRow) Badge() string { return stateBadge(r.Record) }

// Line says where it stands in a few words.
func (r writeRow) Line() string {
	switch {
	case r.Dead:
		return cmp.Or(r.Why(), "It needs a decision")
	case r.State == ledger.Held && r.NotBefore.After(time.Now()):
		return "Tried again at " + r.NotBefore.UTC().Format("15:04 UTC")
	}
	return r.Why()
}

// Why is the last reason, without the name of a system.
func (r writeRow) Why() string { return event.Unnamed(r.Reason, r.System) }

func stateWord(r *ledger.Record) string {
	switch {
	case r.Dead && r.State == ledger.Doubtful:
		return "doubtful, needs you"
	case r.Dead:
		return "refused, needs you"
	case r.State == ledger.Sending:
		return "being sent"
	case r.State == ledger.Superseded && r.ReplacedBy != "":
		return "replaced"
	}
	return string(r.State)
}

func stateBadge(r *ledger.Record) string {
	if r.Dead {
		return "bad"
	}
	return string(r.State)
}

// writeViews are the parts of the list that people look for.
var writeViews = []struct {
	name, title string
	filter      ledger.Filter
}{
	{"", "All", ledger.Filter{}},
	{"attention", "Needs you", ledger.Filter{Dead: true}},
	{"waiting", "Under way", ledger.Filter{States: []ledger.State{ledger.Held, ledger.Sending, ledger.Doubtful}}},
	{"delivered", "Delivered", ledger.Filter{States: []ledger.State{ledger.Delivered}}},
	{"refused", "Refused", ledger.Filter{States: []ledger.State{ledger.Refused}}},
	{"ended", "Cancelled or expired", ledger.Filter{States: []ledger.State{ledger.Cancelled, ledger.Expired, ledger.Superseded}}},
}

// writes lists what an app has written.
func (p *Portal) writes(c *call) error {
	app, choices, err := c.choose("/writes", false)
	if err != nil {
		return err
	}
	page := &writesPage{App: app, Apps: choices, Find: strings.TrimSpace(c.QueryParam("find"))}
	if app == nil {
		return c.page("writes", "Writes", page)
	}
	f, found := ledger.Filter{}, false
	for _, v := range writeViews {
		q := url.Values{"app": {app.Name}}
		if v.name != "" {
			q.Set("view", v.name)
		}
		here := v.name == c.QueryParam("view")
		if here {
			f, found = v.filter, true
		}
		page.Views = append(page.Views, appChoice{Title: v.title, Path: "/writes?" + q.Encode(), Here: here})
	}
	if !found {
		return c.fail(http.StatusBadRequest, "there is no such part of the list")
	}
	f.App, f.Limit, f.After = app.Name, 50, c.QueryParam("after")
	list, err := p.findWrites(c, f, page.Find)
	if errors.Is(err, ledger.ErrInvalid) {
		return c.fail(http.StatusBadRequest, "the page before is not known; begin anew")
	}
	if err != nil {
		return err
	}
	names := operationNames(c.table)
	for _, r := range list.Writes {
		page.Rows = append(page.Rows, writeRow{known(names, r.Operation), r})
	}
	if list.Next != "" {
		q := c.QueryParams()
		q.Set("after", list.Next)
		page.More = "/writes?" + q.Encode()
	}
	return c.page("writes", "Writes of "+appTitle(app), page)
}

// findWrites lists writes; find is a write's id, a correlation id or a
// business key.
func (p *Portal) findWrites(c *call, f ledger.Filter, find string) (ledger.Page, error) {
	ctx := c.Request().Context()
	if find == "" {
		return p.options.Writes.List(ctx, f)
	}
	if r, err := p.options.Store.Get(ctx, find); err == nil && r.App == f.App {
		return ledger.Page{Writes: []*ledger.Record{r}}, nil
	}
	by := f
	by.Correlation = find
	list, err := p.options.Writes.List(ctx, by)
	if err != nil || len(list.Writes) > 0 {
		return list, err
	}
	for _, f.Lane = range p.options.Writes.Keys(find) {
		if list, err = p.options.Writes.List(ctx, f); err != nil || len(list.Writes) > 0 {
			return list, err
		}
	}
	return list, nil
}

// writePage is one write.
type writePage struct {
	*buffer.Sight
	Op                    opName
	App                   *gateway.App
	Word, Badge, Headline string
	Why                   string // the last reason, without the name of a system
	Path                  string // the request's path and query, as far as it is known
	Sent                  string // the body, indented where it is JSON
	Answer                *answerPart
	Steps                 []stepRow
	Replaces, ReplacedBy  string
	// May the visitor do these? Draft is the body in the form.
	MayFix, MayCancel, MayGiveUp bool
	Draft                        string
	Wrong                        string
	Faults                       []specs.Violation
}

// stepRow is a moment in a write's life.
type stepRow struct {
	At       time.Time
	Badge    string
	Text     string
	Reason   string
	Attempt  int
	Person   bool
	Took     string
	HasTried bool
}

// answerPart is what an app was told, in plain words.
type answerPart struct {
	Status int
	Title  string
	Detail string
	Faults []specs.Violation
	Code   string // of who answers the operation
	Body   string
}

// ownWrite finds a write of an app of the visitor's organisation.
func (p *Portal) ownWrite(c *call) (*buffer.Sight, *gateway.App, error) {
	s, err := p.options.Writes.Sight(c.Request().Context(), c.Param("write"))
	if err != nil {
		return nil, nil, err
	}
	app, err := c.ownApp(s.Record.App)
	return s, app, err
}

// write shows one write.
func (p *Portal) write(c *call) error {
	page, err := p.writePage(c)
	if err != nil {
		return err
	}
	return c.page("write", "Write "+page.Record.ID[:8], page)
}

func (p *Portal) writePage(c *call) (*writePage, error) {
	s, app, err := p.ownWrite(c)
	if err != nil {
		return nil, err
	}
	r := s.Record
	page := &writePage{
		Sight: s, Op: known(operationNames(c.table), r.Operation), App: app, Word: stateWord(r), Badge: stateBadge(r), Headline: headline(s),
		Sent: indented(s.Body), Replaces: r.Replaces, ReplacedBy: r.ReplacedBy,
	}
	page.Path = addressOf(page.Op.Route, s)
	page.Why = event.Unnamed(r.Reason, r.System)
	page.Answer = answerIn(s.Answer, r.System)
	page.Steps = stepsOf(r)
	may := c.visitor.may(developer) && c.visitor.acting == ""
	page.MayFix = may && (r.Dead || r.State == ledger.Held && !r.Open) && len(s.Body) > 0 && page.Op.Page != ""
	page.MayCancel = may && r.State == ledger.Held && !r.Open
	page.MayGiveUp = may && r.Dead
	page.Draft = page.Sent
	return page, nil
}

// addressOf puts the parameters of a request into its route.
func addressOf(route string, s *buffer.Sight) string {
	for _, part := range s.Params {
		route = strings.ReplaceAll(route, "{"+part.Name+"}", url.PathEscape(part.Value))
	}
	if s.Query != "" {
		route += "?" + s.Query
	}
	return route
}

// headline says in a sentence how a write stands.
func headline(s *buffer.Sight) string {
	r := s.Record
	switch {
	case r.Dead && r.State == ledger.Doubtful:
		return "Nobody knows whether it was done: the answer was lost. Look whether it arrived; then send it again, or leave it."
	case r.Dead:
		return "It was not done, and needs you: send it again with a corrected body, or leave it. What comes after it for the same key waits."
	case r.State == ledger.Held && r.Gap:
		return "It waits for earlier numbers of its sequence."
	case r.State == ledger.Held && r.NotBefore.After(time.Now()):
		return "It is tried again " + soon(r.NotBefore) + "."
	case r.State == ledger.Held && !s.ETA.IsZero():
		return fmt.Sprintf("It is number %s in line, and expected to be done %s.", thousands(s.Place), soon(s.ETA))
	case r.State == ledger.Held:
		return "It is kept, and waits for its turn."
	case r.State == ledger.Sending:
		return "It is being sent right now."
	case r.State == ledger.Doubtful:
		return "The answer was lost. What became of it is being found out; nothing is sent twice."
	case r.State == ledger.Delivered:
		return "It was done."
	case r.State == ledger.Refused && r.ReplacedBy != "":
		return "It was not done; a corrected one was sent in its place."
	case r.State == ledger.Refused:
		return "It was not done."
	case r.State == ledger.Cancelled:
		return "It was taken back before it was sent."
	case r.State == ledger.Expired:
		return "Its time was over before it could be sent. It was not done."
	case r.State == ledger.Superseded:
		return "A newer one stands for it. This one was not sent."
	}
	return ""
}

// soon says when, by the distance.
func soon(t time.Time) string {
	switch d := time.Until(t); {
	case d < 45*time.Second:
		return "within a minute"
	case d < time.Hour:
		return fmt.Sprintf("in about %d minutes", int(d.Minutes()+0.5))
	case d < 24*time.Hour:
		return "at " + t.UTC().Format("15:04 UTC")
	}
	return "on " + t.UTC().Format("2 January at 15:04 UTC")
}

// stepsOf are the moments of a write, the oldest first.
func stepsOf(r *ledger.Record) []stepRow {
	var list []stepRow
	for i, s := range r.Timeline {
		row := stepRow{At: s.At, Badge: string(s.State), Reason: event.Unnamed(s.Reason, r.System), Attempt: s.Attempt, Person: s.Actor != "", HasTried: !s.Started.IsZero()}
		if row.HasTried {
			row.Took = millis(s.At.Sub(s.Started))
		}
		switch s.State {
		case ledger.Held:
			row.Text = "Sent to the line again"
			if i == 0 {
				row.Text = "Accepted and kept"
			}
		case ledger.Doubtful:
			row.Text = "The answer was lost"
		case ledger.Delivered:
			row.Text = "Done"
		case ledger.Refused:
			row.Text = "Refused"
		case ledger.Cancelled:
			row.Text = "Taken back"
		case ledger.Expired:
			row.Text = "Out of time"
		case ledger.Superseded:
			row.Text = "Replaced"
		default:
			row.Text = string(s.State)
		}
		if s.Status != 0 {
			row.Text += fmt.Sprintf(" (%d)", s.Status)
		}
		list = append(list, row)
	}
	return list
}

// answerIn reads an answer: a problem document in its own words, everything
// else as it is.
func answerIn(a *buffer.Answered, system string) *answerPart {
	if a == nil {
		return nil
	}
	part := &answerPart{Status: a.Status, Title: http.StatusText(a.Status), Body: indented(a.Body)}
	var doc struct {
		Title      string            `json:"title"`
		Detail     string            `json:"detail"`
		SystemCode string            `json:"systemCode"`
		Violations []specs.Violation `json:"violations"`
	}
	if strings.Contains(a.Media, "problem+json") && json.Unmarshal(a.Body, &doc) == nil {
		part.Title, part.Detail, part.Faults, part.Code = cmp.Or(doc.Title, part.Title), event.Unnamed(doc.Detail, system), doc.Violations, doc.SystemCode
		if a.Problem != "" {
			part.Body = "" // the page has said it all, and the document may name who answers
		}
	}
	return part
}

// longestShown bounds the bodies that pages show, in bytes.
const longestShown = 64 << 10

// deepestShown is how deep JSON may nest that is indented. Every level makes every
// line below it longer: without a bound a short text could become a page of gigabytes.
const deepestShown = 64

// nests tells whether a text nests deeper than most, should it be JSON.
func nests(body []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > most {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// indented writes JSON so that people can read it; everything else as it is.
func indented(body []byte) string {
	if len(body) > longestShown {
		return fmt.Sprintf("(%d bytes, too long to be shown here)", len(body))
	}
	var b bytes.Buffer
	if !nests(body, deepestShown) && json.Indent(&b, body, "", "  ") == nil {
		return b.String()
	}
	if !utf8.Valid(body) {
		return fmt.Sprintf("(%d bytes that are no text)", len(body))
	}
	return string(body)
}

// fixWrite sends a corrected body in the place of a write.
func (p *Portal) fixWrite(c *call) error {
	page, err := p.writePage(c)
	if err != nil {
		return err
	}
	page.Draft = strings.ReplaceAll(c.FormValue("body"), "\r\n", "\n")
	body := []byte(page.Draft)
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		body = compact.Bytes()
	}
	id, err := p.options.Writes.Amend(c.Request().Context(), page.Record.ID, body, c.by("corrected in the portal"))
	if err == nil {
		return c.redirect("/writes/"+id, "The corrected write was sent in place of the other one.")
	}
	e := (*gateway.Error)(nil)
	if !errors.As(err, &e) || e.Problem.Status >= http.StatusInternalServerError {
		return err
	}
	page.Wrong, page.Faults, page.MayFix, page.Draft = sentence(event.Unnamed(cmp.Or(e.Detail, e.Problem.Title), page.Record.System)), e.Violations, true, indented([]byte(page.Draft))
	if len(page.Faults) > 0 {
		page.Wrong = "The body does not keep to the contract."
	}
	return c.answer(e.Problem.Status, "write", "Write "+page.Record.ID[:8], page)
}

// takeBack cancels a write.
func (p *Portal) takeBack(c *call) error {
	return p.act(c, func(id string) error {
		return p.options.Writes.TakeBack(c.Request().Context(), id, c.by("cancelled in the portal"))
	}, "The write was taken back; it is not sent.")
}

// giveUp leaves a write that needs a decision as it is.
func (p *Portal) giveUp(c *call) error {
	return p.act(c, func(id string) error {
		return p.options.Writes.GiveUp(c.Request().Context(), id, c.by("left as it is in the portal"))
	}, "The write stays as it is; what waited behind it goes on.")
}

func (p *Portal) act(c *call, do func(id string) error, done string) error {
	s, _, err := p.ownWrite(c)
	if err != nil {
		return err
	}
	err = do(s.Record.ID)
	if e := (*gateway.Error)(nil); errors.As(err, &e) && e.Problem.Status < http.StatusInternalServerError {
		return c.redirect("/writes/"+s.Record.ID, "This cannot be done any more: "+cmp.Or(e.Detail, e.Problem.Title)+".")
	}
	if err != nil {
		return err
	}
	return c.redirect("/writes/"+s.Record.ID, done)
}
