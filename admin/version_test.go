package admin

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/source"
)

const listed = "openapi: 3.0.3\ninfo: {title: Bills, version: 1.0.0}\nx-headrace: {system: erp}\npaths:\n  /bills: {get: {operationId: list, responses: {\"200\": {description: ok}}}}\n"

// sent is the body of a release.
func sent(text, more string) string {
	return fmt.Sprintf(`{"files":{"openapi.yaml":%q}%s}`, base64.StdEncoding.EncodeToString([]byte(text)), more)
}

// judged is a desk whose registry finds fault with titles, and whose every
// change breaks something.
func judged(t *testing.T) *desk {
	return newDeskWith(t, registry.Options{
		Lint: func(at registry.Place) ([]registry.Finding, error) {
			f := registry.Finding{Problem: source.Problem{Position: source.Position{File: at.Dir + "/openapi.yaml", Line: 2, Column: 7}, Wrong: "no owner"}, Rule: "api-owner", Severity: "warning"}
			if strings.Contains(at.Dir, "/9.") {
				f.Severity = registry.Fatal
			}
			return []registry.Finding{f}, nil
		},
		Diff: func(_, after registry.Place) ([]registry.Change, error) {
			return []registry.Change{{Position: source.Position{File: after.Dir + "/openapi.yaml", Line: 5, Column: 3}, ID: "c0ffee00", Rule: "gone", Level: registry.Breaking, Text: "is gone"}}, nil
		},
	})
}

// newDeskWith is a desk with a registry of its own rules.
func newDeskWith(t *testing.T, o registry.Options) *desk {
	d := newDesk(t, func(options *Options) {
		o.Ledger = options.Store
		options.Registry = registry.New(o)
	})
	d.registry = d.admin.options.Registry
	return d
}

func TestVersionsByTheAPI(t *testing.T) {
	d := judged(t)
	token := d.operator("ann", registry.Architect)
	const at = "/apis/bills/versions/1.0.0"
	d.want(404, "no-such-thing", "GET", at, token, "")
	d.want(200, `"rule":"api-owner"`, "POST", at+"?dry-run=true", token, sent(listed, ""))
	d.want(404, "no-such-thing", "GET", at, token, "")
	d.want(422, "a draft has neither a canary nor exceptions", "POST", at, token, sent(listed, `,"status":"draft","canary":{"share":10}`))
	h, _ := d.want(200, `"status":"draft"`, "POST", at, token, sent(listed, `,"status":"draft"`))
	d.want(200, `"served":false`, "GET", at, token, "")
	d.want(412, "changed-meanwhile", "POST", at+"/publish", token, "{}", "If-Match", `"999"`)
	h, _ = d.want(200, `"status":"published"`, "POST", at+"/publish", token, `{"reason":"ready"}`, "If-Match", h.Get("ETag"))
	if h.Get("ETag") == "" {
		t.Error("no ETag")
	}
	d.want(409, "immutable", "POST", at, token, sent(listed+"# other\n", ""))
	d.want(409, "immutable", "DELETE", at, token, "", "If-Match", "*")
	d.want(428, "match-missing", "DELETE", at, token, "")
	d.want(200, `"openapi.yaml"`, "GET", at+"/files", token, "")
	_, archive := d.want(200, "", "GET", at+"/export", token, "")
	r := tar.NewReader(strings.NewReader(archive))
	header, err := r.Next()
	content, readErr := io.ReadAll(r)
	if errors.Join(err, readErr) != nil || header.Name != "openapi.yaml" || string(content) != listed {
		t.Errorf("exported %v %q %v", header, content, err)
	}

	// Breaking, excepted, and what lint refuses.
	_, text := d.want(409, "breaking-change", "POST", "/apis/bills/versions/1.1.0", token, sent(listed+"# new\n", ""))
	var problem struct{ Changes []registry.Change }
	if err := json.Unmarshal([]byte(text), &problem); err != nil || len(problem.Changes) != 1 || problem.Changes[0].Line != 5 || problem.Changes[0].ID != "c0ffee00" {
		t.Errorf("%v %s", err, text)
	}
	d.want(422, "invalid-body", "POST", "/apis/bills/versions/1.1.0", token, sent(listed, `,"exceptions":[{"change":"c0ffee00","reason":""}]`))
	d.want(200, `"reason":"nobody"`, "POST", "/apis/bills/versions/1.1.0", token, sent(listed+"# new\n", `,"exceptions":[{"change":"c0ffee00","reason":"nobody"}]`))
	d.want(200, `"from":"1.0.0"`, "GET", "/apis/bills/versions/1.1.0/changes", token, "")
	d.want(404, "no version before", "GET", at+"/changes", token, "")
	d.want(422, `"file":"apis/bills/9.0.0/openapi.yaml","line":2`, "POST", "/apis/bills/versions/9.0.0", token, sent(listed, ""))

	// The end.
	d.want(409, "has been replaced by 1.1.0", "POST", at+"/deprecate", token, "{}")
	d.want(200, `"status":"deprecated"`, "POST", "/apis/bills/versions/1.1.0/deprecate", token, `{"sunset":"2199-06-30T00:00:00Z","successor":"/bills/v2"}`)
	d.want(200, `"status":"published"`, "POST", "/apis/bills/versions/1.1.0/restore", token, `{}`)
	d.want(409, "wrong-state", "POST", "/apis/bills/versions/1.1.0/retire", token, `{}`)
	d.want(422, "reason-missing", "POST", "/apis/bills/versions/1.1.0/retire", token, `{"override":true}`)
	d.want(200, `"status":"retired"`, "POST", "/apis/bills/versions/1.1.0/retire", token, `{"override":true}`, "X-Reason", "over")
	d.want(404, "no-such-thing", "GET", "/apis/nothing", token, "")
	d.want(200, `"name":"bills/1.0.0"`, "GET", "/apis/bills", token, "")
}

// What stands in the files is shown, and changed there.
func TestVersionsOfFiles(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("ann", registry.Architect)
	served := d.admin.options.Tables.Table().APIs[0]
	at := "/apis/" + served.Name + "/versions/" + served.Version
	d.want(200, `"origin":"files"`, "GET", at, token, "")
	d.want(200, `"origin":"files"`, "GET", "/apis", token, "")
	d.want(409, "stands-in-files", "POST", at, token, sent(listed, ""))
	d.want(409, "stands-in-files", "POST", at+"/deprecate", token, "{}")
	d.want(409, "stands-in-files", "POST", at+"/retire", token, "{}")
}

func TestFilesAndApply(t *testing.T) {
	d := judged(t)
	token := d.operator("ann", registry.Architect)
	d.want(428, "match-missing", "PUT", "/files/systems/erp.yaml", token, `{"url":"http://127.0.0.1:9"}`)
	h, _ := d.want(200, `"name":"systems/erp.yaml"`, "PUT", "/files/systems/erp.yaml", token, `{"url":"http://127.0.0.1:9"}`, "If-None-Match", "*")
	d.want(412, "changed-meanwhile", "PUT", "/files/systems/erp.yaml", token, `{}`, "If-None-Match", "*")
	d.want(422, "is not a file that the registry keeps", "PUT", "/files/headrace.yaml", token, `{}`, "If-None-Match", "*")
	d.want(200, `{"url":"http://127.0.0.1:9"}`, "GET", "/files/systems/erp.yaml", token, "")
	d.want(200, `"name":"systems/erp.yaml"`, "GET", "/files", token, "")
	d.want(204, "", "DELETE", "/files/systems/erp.yaml", token, "", "If-Match", h.Get("ETag"))
	d.want(404, "no-such-thing", "GET", "/files/systems/erp.yaml", token, "")

	workspace := func(path, text, more string) string {
		return fmt.Sprintf(`{"files":{%q:%q}%s}`, path, base64.StdEncoding.EncodeToString([]byte(text)), more)
	}
	_, text := d.want(200, `"action":"publish"`, "POST", "/plan", token, workspace("apis/bills/1.0.0/openapi.yaml", listed, ""))
	var plan struct{ Revision int64 }
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	d.want(428, "plan first", "POST", "/apply", token, workspace("apis/bills/1.0.0/openapi.yaml", listed, ""))
	d.want(412, "the plan is of revision", "POST", "/apply", token, workspace("apis/bills/1.0.0/openapi.yaml", listed, `,"revision":0`))
	d.want(200, `"action":"publish"`, "POST", "/apply", token, workspace("apis/bills/1.0.0/openapi.yaml", listed, fmt.Sprintf(`,"revision":%d`, plan.Revision)))
	// A plan that is refused is shown, and not applied.
	_, text = d.want(200, `"refused":true`, "POST", "/plan", token, workspace("apis/bills/1.1.0/openapi.yaml", listed+"# new\n", ""))
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	d.want(409, "c0ffee00", "POST", "/apply", token, workspace("apis/bills/1.1.0/openapi.yaml", listed+"# new\n", fmt.Sprintf(`,"revision":%d`, plan.Revision)))
	d.want(200, `"reason":"nobody"`, "POST", "/apis/bills/versions/1.1.0", token, sent(listed+"# new\n", `,"exceptions":[{"change":"c0ffee00","reason":"nobody"}]`))
	d.want(422, "is not a path of a file", "POST", "/plan", token, workspace("../x", "", ""))
	d.want(422, "is a file and a folder", "POST", "/plan", token, `{"files":{"a":"","a/b":""}}`)
	d.want(422, "cannot be read", "POST", "/plan", token, `{"files":{"a":"%"}}`)
	d.want(200, `"items":[]`, "GET", "/usage?api=bills", token, "")
	d.want(200, `"calls":0`, "GET", "/apis/bills/versions/1.0.0/usage", token, "")
	d.want(200, `"checked":0`, "GET", "/apis/bills/versions/1.0.0/shadow", token, "")
}

// Whoever applies a workspace may change by it what they may change singly, and
// nothing else.
func TestApplyKeepsToRoles(t *testing.T) {
	d := judged(t)
	architect, partner, admin := d.operator("ann", registry.Architect), d.operator("pam", registry.PartnerManager), d.operator("ada", registry.Admin)
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	workspace := func(revision string) string {
		return fmt.Sprintf(`{"files":{"consumers.yaml":%q,"systems/crm.yaml":%q},"revision":%s}`, encode("organisations: {acme: {title: Acme}}\n"), encode("url: http://127.0.0.1:9\n"), revision)
	}
	revision := func() string {
		h, _ := d.want(200, "", "POST", "/plan", admin, workspace("0"))
		return strings.Trim(h.Get("ETag"), `"`)
	}
	at := revision()
	d.want(200, `"refused":true,"needs":"partner-manager"`, "POST", "/plan", architect, workspace(at))
	d.want(403, "create organisation acme: needs the role partner-manager", "POST", "/apply", architect, workspace(at))
	d.want(403, "create file systems/crm.yaml: needs the role architect", "POST", "/apply", partner, workspace(at))
	d.want(404, "", "GET", "/organisations/acme", admin, "")
	d.want(200, "", "POST", "/apply", admin, workspace(at))
	// What is there already needs nobody's leave.
	d.want(200, `"steps":[]`, "POST", "/apply", architect, workspace(revision()))
	d.want(403, "delete organisation acme", "POST", "/apply", architect, fmt.Sprintf(`{"files":{"systems/crm.yaml":%q},"revision":%s}`, encode("url: http://127.0.0.1:9\n"), revision()))
}
