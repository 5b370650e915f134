package system

import (
	"net/http"
	"testing"
	"time"
)

// pauses are how long the pools of the system are paused, by name, in whole seconds.
func (w *world) pauses() map[string]int {
	pauses := map[string]int{}
	for _, pool := range w.set.Status(w.t.Context())[0].Budget.Pools {
		if !pool.PausedUntil.IsZero() {
			pauses[pool.Name] = int(time.Until(pool.PausedUntil).Round(time.Second).Seconds())
		}
	}
	return pauses
}

const soapFault = `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>` +
	`<faultstring>try again in 90 s</faultstring><detail><n:exceededRequestLimitFault xmlns:n="urn:n"/></detail></e:Fault></e:Body></e:Envelope>`

// Whatever way a system has of saying that it is saturated, and when to come
// back: the pools that it speaks of are paused for that time.
func TestOverloadSigns(t *testing.T) {
	in := time.Now().Add(100 * time.Second).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name, sign string
		status     int
		body       string
		header     string
		a, b       int // pauses in seconds; zero for none
	}{
		{"a status", "{status: 429}", 429, "", "Retry-After: 100", 100, 100},
		{"the limit that it speaks of", "{status: 429, pool: b}", 429, "", "Retry-After: 100", 0, 100},
		{"fractions of a second", "{status: 429}", 429, "", "Retry-After: 99.7", 100, 100},
		{"a date", "{status: 429}", 429, "", "Retry-After: " + in, 100, 100},
		{"a header in milliseconds", "{status: 429, hint: throttling, hint_unit: ms}", 429, "", "Throttling: 101250", 101, 101},
		{"a header that names the limit", "{header: X-Rate-Limit-Problem, match: ^day$, pool: a}", 429, "", "X-Rate-Limit-Problem: day", 1, 0},
		{"another value of it", "{header: X-Rate-Limit-Problem, match: ^day$, pool: a}", 429, "", "X-Rate-Limit-Problem: minute", 0, 0},
		{"JSON", "{status: 400, json: '.errors[].code', match: ^LIMIT$, hint_json: .wait}", 400, `{"errors":[{"code":"A"},{"code":"LIMIT"}],"wait":100}`, "", 100, 100},
		{"other JSON", "{status: 400, json: '.errors[].code', match: ^LIMIT$}", 400, `{"errors":[{"code":"A"}]}`, "Retry-After: 100", 0, 0},
		{"JSON as text", "{status: 400, json: .x, hint_json: .wait, hint_unit: ms}", 400, `{"x":true,"wait":"100000"}`, "", 100, 100},
		{"JSON without a time", "{status: 400, json: .x, hint_json: .wait}", 400, `{"x":true}`, "Retry-After: 100", 100, 100},
		{"text", `{match: maximum rate, hint_match: '(\d+) ms', hint_unit: ms}`, 400, "The maximum rate of requests was exceeded. Please try again in 100000 ms.", "Retry-After: 5", 100, 100},
		{"text without a group", `{match: rate, hint_match: '\d+', hint_unit: min}`, 400, "rate 2", "", 120, 120},
		{"the time of the sign", "{status: 429, retry_after: 100s}", 429, "", "", 100, 100},
		{"the header before it", "{status: 429, retry_after: 5s}", 429, "", "Retry-After: 100", 100, 100},
		{"no hint that counts", "{status: 429, hint: none, retry_after: 100s}", 429, "", "Retry-After: 5", 100, 100},
		{"a penalty", "{status: 429, pool: b, penalty: true}", 429, "", "Retry-After: 100", 105, 105},
		{"a penalty without a hint", "{status: 429, pool: b, penalty: true}", 429, "", "", 30, 30},
		{"HTTP 200", "{status: 200, json: '.errors[].extensions.code', match: THROTTLED, retry_after: 100s}", 200, `{"errors":[{"extensions":{"code":"THROTTLED"}}]}`, "", 100, 100},
		{"HTTP 200 that is well", "{status: 200, json: '.errors[].extensions.code', match: THROTTLED}", 200, `{"data":{}}`, "", 0, 0},
		{"the code of a SOAP fault", "{fault: REQUEST_LIMIT_EXCEEDED, retry_after: 100s}", 500, soapFault, "", 100, 100},
		{"the text of a SOAP fault", `{fault: ^try again, hint_match: '(\d+) s'}`, 500, soapFault, "", 90, 90},
		{"the detail of a SOAP fault", "{status: [200, 500], fault: ^exceededRequestLimitFault$, retry_after: 100s}", 200, soapFault, "", 100, 100},
		{"another SOAP fault", "{fault: ^exceeded$}", 500, soapFault, "Retry-After: 100", 0, 0},
		{"no SOAP fault", "{fault: exceeded}", 500, "exceeded", "Retry-After: 100", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got seen
			headers := []string{"Content-Type: application/json"}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			w := open(t, plan{system: "limits: [{name: a, capacity: 5}, {name: b, capacity: 5}]\noverload: [" + c.sign + "]", paths: at("GET", "/x", "x", "wait: 0s")}, got.answers(c.status, c.body, headers...))
			r := w.send("GET", "/x", "")
			overload := c.a+c.b > 0
			if (r.problem() == "saturated") != overload {
				t.Errorf("%d %s", r.StatusCode, r.text)
			}
			if !overload && c.status < 500 && (r.StatusCode != c.status || r.text != c.body) {
				t.Errorf("the answer became %d %s", r.StatusCode, r.text)
			}
			pauses := w.pauses()
			for pool, want := range map[string]int{"a": c.a, "b": c.b} {
				if want == 1 { // the first pause of the budget, which is over soon
					continue
				}
				if got := pauses[pool]; got < want-2 || got > want+1 {
					t.Errorf("%s is paused for %d s, want %d", pool, got, want)
				}
			}
		})
	}
}
