package event

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// Types are the states of writes that webhooks may be told of, in the order of a
// write's life.
var Types = []ledger.State{ledger.Held, ledger.Doubtful, ledger.Delivered, ledger.Refused, ledger.Cancelled, ledger.Expired, ledger.Superseded}

// Proposed are the Types that a new webhook is told of if nobody chooses: what
// a write ends as, and what needs somebody.
var Proposed = []ledger.State{ledger.Doubtful, ledger.Delivered, ledger.Refused, ledger.Cancelled, ledger.Expired, ledger.Superseded}

// TypeName is what CloudEvents calls a type.
func TypeName(t ledger.State) string {
	if t == ledger.Test {
		return "headrace.webhook.test"
	}
	return "headrace.write." + string(t)
}

// cloudEvent is an event in the JSON format of CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject,omitempty"`
	Time        time.Time `json:"time"`
	// Sequence orders the events of one write as texts (the extension "sequence").
	Sequence        string `json:"sequence,omitempty"`
	DataContentType string `json:"datacontenttype"`
	Data            any    `json:"data"`
}

// writeData is what an event says of a write. The names are those of /writes/{id}.
type writeData struct {
	ID             string       `json:"id"`
	Location       string       `json:"location"`
	State          ledger.State `json:"state"`
	NeedsAttention bool         `json:"needsAttention"`
	App            string       `json:"app"`
	Operation      string       `json:"operation"`
	Status         int          `json:"status,omitempty"`
	Reason         string       `json:"reason,omitempty"`
	Attempts       int          `json:"attempts"`
	IdempotencyKey string       `json:"idempotencyKey,omitempty"`
	Correlation    string       `json:"correlation,omitempty"`
}

type testData struct {
	App     string `json:"app"`
	Message string `json:"message"`
}

// Unnamed takes the name of a system out of what is told to people outside:
// "erp answered 400" becomes "the system answered 400".
func Unnamed(text, system string) string {
	if system == "" || !strings.Contains(text, system) {
		return text
	}
	word, err := regexp.Compile(`(^|[^\w-])` + regexp.QuoteMeta(system) + `($|[^\w-])`)
	if err != nil {
		return ""
	}
	for range 2 { // what parts two names belongs to the first match
		text = word.ReplaceAllString(text, "${1}the system${2}")
	}
	return text
}

// ID is the event's name, the same each time that it is sent.
func ID(d *ledger.Delivery) string {
	if d.Type == ledger.Test {
		return fmt.Sprintf("%s-%d", d.Hook, d.Number)
	}
	return fmt.Sprintf("%s-%d", d.Write, d.Version)
}

// Body is the event as it is sent: the same bytes each time.
func Body(d *ledger.Delivery) ([]byte, error) {
	e := cloudEvent{SpecVersion: "1.0", ID: ID(d), Source: "/writes", Type: TypeName(d.Type), Time: d.At.UTC(), DataContentType: "application/json"}
	if d.Type == ledger.Test {
		e.Source = "/webhooks"
		e.Subject, e.Data = d.Hook, testData{d.App, "this is a test: nothing has happened"}
	} else {
		e.Subject, e.Sequence = d.Write, fmt.Sprintf("%010d", d.Version)
		e.Data = writeData{
			ID: d.Write, Location: "/writes/" + d.Write, State: d.Type, NeedsAttention: d.Dead, App: d.App, Operation: d.Operation, Status: d.Status,
			Reason: Unnamed(d.Reason, d.System), Attempts: d.Attempts, IdempotencyKey: d.Key, Correlation: d.Correlation,
		}
	}
	return json.Marshal(e)
}
