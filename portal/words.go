package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// fact is something that callers have to know, in plain words.
type fact struct{ Term, Text string }

// rateText says what a policy throttle lets through: 50 calls a second, up to 100 at once.
func rateText(ps specs.Policies) string {
	n, ok := settings(ps, "throttle")
	if !ok {
		return ""
	}
	amount, unit, _ := strings.Cut(n.Get("rate").Text(), "/")
	text := number(amount) + " " + noun(amount, "call") + " a " + map[string]string{"s": "second", "m": "minute", "h": "hour"}[unit] + by(n)
	if burst := n.Get("burst").Text(); burst != "" {
		text += ", up to " + number(burst) + " at once"
	}
	return text
}

// quotaText says what a policy quota lets through: 1,000 calls a day.
func quotaText(ps specs.Policies) string {
	n, ok := settings(ps, "quota")
	if !ok {
		return ""
	}
	limit := n.Get("limit").Text()
	text := number(limit) + " " + noun(limit, "call")
	if per := n.Get("per").Text(); per != "" {
		text += " a " + per
		if zone := n.Get("time_zone").Text(); zone != "" {
			text += " (" + zone + ")"
		}
		return text + by(n)
	}
	return text + " in any " + spell(n.Get("window").Text()) + by(n)
}

// concurrencyText says what a policy concurrency lets through: 50 calls at the same time.
func concurrencyText(ps specs.Policies) string {
	n, ok := settings(ps, "concurrency")
	if !ok {
		return ""
	}
	limit := n.Get("limit").Text()
	return number(limit) + " " + noun(limit, "call") + " at the same time" + by(n)
}

// settings are those of a policy, unless it is off.
func settings(ps specs.Policies, name string) (source.Node, bool) {
	n, ok := ps[name]
	return n, ok && !specs.Off(n)
}

// by says whose calls a limit counts together, where that is not an app's.
func by(n source.Node) string {
	return map[string]string{"plan": ", of all apps on the plan together", "operation": ", of all callers together", "address": " from one address"}[n.Get("by").Text()]
}

func noun(amount, word string) string {
	if amount == "1" {
		return word
	}
	return word + "s"
}

// number writes a whole number with its thousands in groups.
func number(text string) string {
	if _, err := strconv.ParseUint(text, 10, 64); err != nil {
		return text
	}
	b := []byte(text)
	for i := len(b) - 3; i > 0; i -= 3 {
		b = slices.Insert(b, i, ',')
	}
	return string(b)
}

// spell says a duration of the configuration in words; other text stays as it is.
func spell(text string) string {
	var d source.Duration
	if d.UnmarshalText([]byte(text)) != nil {
		return text
	}
	return duration(d.Std())
}

// duration says a time as people do: 10 seconds, 2 hours.
func duration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}, {time.Millisecond, "millisecond"}} {
		if d >= u.unit && d%u.unit == 0 {
			return count(int(d/u.unit), u.name)
		}
	}
	return d.String()
}

// facts explain how the gateway treats an operation.
func (o *operation) facts(keys time.Duration) []fact {
	if o.API.own {
		return []fact{{"Answered by", "The gateway itself: no system is called, nothing waits for one, and no subscription is needed."}}
	}
	g := &o.spec.Governance
	var list []fact
	add := func(term, text string) {
		if text != "" {
			list = append(list, fact{term, text})
		}
	}
	add("Limits", o.limits())
	add("Urgency", classText(g.Class))
	if o.Changes {
		add("How it is done", writeText(o.wait))
		add("Order", orderText(g))
		add("Sending it again", againText(g.Idempotency, keys))
	} else {
		add("When it is busy", fmt.Sprintf("The call waits up to %s for its turn, or shorter if you send Prefer: wait=SECONDS. Then it is refused with 503 and a Retry-After that says when there will be room.", duration(o.wait)))
		add("Fresh or kept", cacheText(g.Policies))
		add("Sending it again", "The operation changes nothing. Call it as often as your limits allow.")
	}
	return list
}

// limits are those of the operation itself; plans have more.
func (o *operation) limits() string {
	g := &o.spec.Governance
	var parts []string
	for _, text := range []string{rateText(g.Policies), quotaText(g.Policies), concurrencyText(g.Policies)} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "Those of your plan."
	}
	return sentence(strings.Join(parts, "; ")) + " Your plan’s limits hold besides. Beyond a limit the answer is 429 with Retry-After."
}

func classText(c *specs.Class) string {
	class := specs.Normal
	if c != nil {
		class = *c
	}
	text := map[specs.Class]string{
		specs.Critical: "goes before everything else when the system is busy",
		specs.High:     "goes before normal and low calls when the system is busy",
		specs.Normal:   "goes before low calls when the system is busy",
		specs.Low:      "lets all other calls go first when the system is busy, and still moves on",
	}[class]
	return sentence(class.String()+": "+text) + " Your plan may say another class."
}

func writeText(wait time.Duration) string {
	patience := "at once"
	if wait > 0 {
		patience = "after " + duration(wait)
	}
	return "Your call is stored safely before it is done, and it is done once. If the outcome is there in time, you get it as the answer. If not, you get 202 " + patience +
		", with the address of the write in Location: read it there to see its place in line, its expected time and its outcome. " +
		"Prefer: wait=SECONDS shortens the wait, and Prefer: respond-async ends it. Hanging up takes nothing back."
}

func orderText(g *specs.OperationGovernance) string {
	if len(g.Lane) == 0 {
		return ""
	}
	var keys []string
	for _, lane := range g.Lane {
		keys = append(keys, placeText(lane))
	}
	text := "Writes with the same " + enumerate(keys, "or") + " are done one after the other, in the order in which they arrive."
	if g.Sequence != "" {
		text += " The number in " + placeText(g.Sequence) + " says their order: one that came already is dropped, and a gap is waited for."
	}
	if g.Coalesce == "latest" {
		text += " A newer one takes the place of older ones that are still waiting."
	}
	if g.OnFailure == "continue" {
		return text + " One that fails does not stop the others."
	}
	return text + " One that fails for good while nobody waits for it stops those behind it until it is settled."
}

// placeText says in words what a runtime expression points to.
func placeText(expression string) string {
	e, err := specs.ParseExpression(expression)
	if err != nil {
		return "key"
	}
	if e.In == "body" {
		return cmp.Or(strings.Join(e.Pointer, "."), "body")
	}
	return e.Name
}

func againText(i *specs.Idempotency, keys time.Duration) string {
	key := "optional"
	if i != nil && i.Key != "" {
		key = i.Key
	}
	hold := "A key stands for its request for " + duration(keys) + "."
	switch key {
	case "off":
		return "The operation takes no Idempotency-Key. When you do not know whether a call arrived, read the state before you send it again."
	case "required":
		return "Send an Idempotency-Key, new for every new intention and the same when you repeat a request. It is required: without it the answer is 400. A repeated key with the same request gives the first outcome again; with another request, 422. " + hold
	}
	text := "Send an Idempotency-Key, and you may repeat the request until you have the answer: it is done once, and you get the first outcome again. The same key with another request is refused with 422. " + hold
	if i != nil && i.Class == "natural-key" {
		text += " Even without one, the same call twice comes to the same: its own key identifies it."
	}
	return text
}

func cacheText(ps specs.Policies) string {
	n, ok := settings(ps, "cache")
	if !ok {
		return ""
	}
	text := "An answer may be up to " + spell(n.Get("ttl").Text()) + " old; its header Age says how old it is."
	if stale := n.Get("stale").Text(); stale != "" {
		text += " While the system is busy or away, it may be up to " + spell(stale) + " older."
	}
	return text
}

// enumerate joins words: a, b or c.
func enumerate(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
