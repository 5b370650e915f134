package specs

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

// FuzzCheckRequest sends anything to an operation with parameters of all
// styles and bodies of all kinds: it must neither panic nor report without bound.
func FuzzCheckRequest(f *testing.F) {
	var params []string
	for _, in := range []string{"query", "header", "cookie"} {
		for i, c := range paramCases[in] {
			_, rest, _ := strings.Cut(c.param, ",")
			params = append(params, "{name: "+in[:1]+string(rune('a'+i))+","+rest)
		}
	}
	d := checkDoc(f, "3.1.0", `{"/x/{id}": {parameters: [{name: id, in: path, required: true, style: matrix, explode: true, schema: {type: [object, array, integer], items: {type: integer}}}],
		post: {parameters: [`+strings.Join(params, ", ")+`], requestBody: {content: {
			application/json: {schema: {$ref: "#/components/schemas/Order"}}, application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Form"}, encoding: {list: {explode: false}, deep: {style: deepObject}}},
			multipart/form-data: {schema: {$ref: "#/components/schemas/Form"}}, text/plain: {schema: {type: integer}}}}, responses: {"200": {description: ok}}}}}`, orderComponents)
	f.Add("qa=1&qj[a]=1&qj[o][x]=true&qe=1|2", ";id=1;id=2", "1,2", "ca=1; cb=1,2", "application/json", `{"id": "1", "lines": []}`)
	f.Add("q=%zz&a[b][c]=1&&=", "x", "a=1,b=2", "a=1", "application/x-www-form-urlencoded", "name=a&deep[x]=1&list=1,2&tags=a&tags=b&meta={}")
	f.Add("", ";a=1;b=2", "", "", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nabc\r\n--b--\r\n")
	o := d.Operations[0]
	f.Fuzz(func(t *testing.T, query, path, header, cookie, contentType, body string) {
		r, err := http.NewRequest("POST", "http://x.example/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		r.Header = http.Header{"Cookie": {cookie}, "Content-Type": {contentType}}
		for _, p := range o.request.header {
			r.Header[p.name] = []string{header}
		}
		for _, strict := range []bool{false, true} {
			fault := o.CheckRequest(r, Params{{"id", path}}, []byte(body), CheckOptions{StrictQuery: strict})
			if fault != nil && (len(fault.Violations) == 0 || len(fault.Violations) > 2*schema.MaxViolations || fault.Detail == "") {
				t.Fatalf("%+v", fault)
			}
		}
		for _, v := range o.CheckResponse(200, r.Header, []byte(body)) {
			if v.Detail == "" {
				t.Fatal("a violation without detail")
			}
		}
	})
}
