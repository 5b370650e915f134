package buffer_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// stuck has the system answer nothing until release is closed.
func (w *world) stuck() (release chan struct{}) {
	release = make(chan struct{})
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { <-release; return true }, nil)
	return release
}

func TestCancel(t *testing.T) {
	w := newWorld(t, nil)
	release := w.stuck()
	first := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	second := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(first, "sending")
	w.want(w.send("DELETE", first, "", "shop"), 409, "conflict", "sending")
	w.want(w.send("DELETE", second, "", "other"), 404)
	w.want(w.send("DELETE", second, "", "shop"), 200, `"cancelled"`)
	w.want(w.send("DELETE", second, "", "shop"), 409)
	close(release)
	w.becomes(first, "delivered")
	if n := len(w.erp.effects()); n != 1 {
		t.Errorf("%d effects", n)
	}
}

func TestListOwn(t *testing.T) {
	w := newWorld(t, nil)
	w.want(w.post("/orders", `{"id":"A"}`), 201)
	w.want(w.post("/orders", `{"id":"B"}`), 201)
	w.want(w.send("POST", "/orders/v1/orders", `{"id":"A"}`, "other"), 201)
	count := func(query string) int {
		r := w.send("GET", "/writes"+query, "", "shop")
		w.want(r, 200)
		return strings.Count(r.body, `"location"`)
	}
	for query, want := range map[string]int{
		"": 2, "?state=delivered": 2, "?state=held": 0, "?key=" + url.QueryEscape("id=A"): 1, "?since=2200-01-01T00:00:00Z": 0, "?limit=1": 1,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d writes, want %d", query, got, want)
		}
	}
	w.want(w.send("GET", "/writes", "", ""), 401)
	w.want(w.send("GET", "/writes?state=lost", "", "shop"), 400)
	w.want(w.send("GET", "/writes?since=yesterday", "", "shop"), 400)
	w.want(w.send("GET", "/writes?after=nonsense", "", "shop"), 400)
}

func TestConditionalAndLongPoll(t *testing.T) {
	w := newWorld(t, nil)
	release := w.stuck()
	at := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(at, "sending")
	r := w.send("GET", at, "", "shop")
	tag := r.Header.Get("ETag")
	w.want(w.send("GET", at, "", "shop", "If-None-Match: "+tag), 304)
	w.want(w.send("GET", at, "", "shop", "If-None-Match: "+tag, "Prefer: wait=0"), 304)
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	w.want(w.send("GET", at, "", "shop", "If-None-Match: "+tag, "Prefer: wait=20"), 200, `"delivered"`)
	w.want(w.send("GET", at, "", "shop", "Prefer: wait=20"), 200, `"delivered"`)
}

func TestEvents(t *testing.T) {
	w := newWorld(t, nil)
	release := w.stuck()
	at := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(at, "sending")
	r, err := http.NewRequest("GET", w.front.URL+at, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Test-App", "shop")
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var data []string
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if data = append(data, text); len(data) == 1 {
				close(release)
			}
		}
	}
	if len(data) != 2 || !strings.Contains(data[0], `"sending"`) || !strings.Contains(data[1], `"delivered"`) || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("events: %s", strings.Join(data, "\n"))
	}
}

// What is held waits through a restart and is sent after it.
func TestRestart(t *testing.T) {
	w := newWorld(t, nil)
	by := ledger.By{Actor: "test"}
	if err := w.ledger.Pause(t.Context(), "erp", "", by); err != nil { // so that it is held for sure
		t.Fatal(err)
	}
	at := w.post("/orders", `{"id":"1"}`, "Prefer: wait=0").Header.Get("Location")
	w.stop()
	w.start()
	if err := w.ledger.Resume(t.Context(), "erp", "", by); err != nil {
		t.Fatal(err)
	}
	if v := w.becomes(at, "delivered"); v.Attempts != 1 {
		t.Errorf("%+v", v)
	}
}
