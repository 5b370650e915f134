package portal

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/gateway"
)

// language is one that samples are written in.
type language struct{ Name, Title string }

func languages() []language {
	return []language{{"curl", "curl"}, {"javascript", "JavaScript"}, {"python", "Python"}, {"csharp", "C#"}, {"java", "Java"}, {"go", "Go"}}
}

const languageCookie = "language"

// language is the one that the visitor has chosen, which is kept.
func (c *call) language() string {
	known := func(name string) bool {
		return slices.ContainsFunc(languages(), func(l language) bool { return l.Name == name })
	}
	if l := c.QueryParam("lang"); known(l) {
		c.setCookie(languageCookie, l, yearly)
		return l
	}
	if l := c.cookie(languageCookie); known(l) {
		return l
	}
	return "curl"
}

// Placeholders in samples; the page's script puts the partner's own key in their
// place without telling anybody.
const (
	keyPlaceholder   = "YOUR_API_KEY"
	tokenPlaceholder = "YOUR_TOKEN"
)

// request is a call that samples make and that "try it" begins with.
type request struct {
	Method, URL string
	Headers     []header
	Body        *node // nil: none
	Text        string
	Certificate bool
}

type header struct{ Name, Value string }

// request puts together a call with the examples of the document.
func (k *contract) request(base, key string) request {
	path, query := k.Route(), url.Values{}
	r := request{Method: k.Method}
	for _, place := range k.Params {
		for _, p := range place.List {
			switch {
			case place.In == "path":
				path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(p.Example))
			case place.In == "query" && p.Required:
				query.Set(p.Name, p.Example)
			case place.In == "header" && p.Required && !strings.EqualFold(p.Name, "Idempotency-Key"):
				r.Headers = append(r.Headers, header{p.Name, p.Example})
			}
		}
	}
	switch kind, in, name := k.scheme(); {
	case kind == "key" && in == "query":
		query.Set(name, key)
	case kind == "key" && in == "cookie":
		r.Headers = append(r.Headers, header{"Cookie", name + "=" + key})
	case kind == "key":
		r.Headers = append(r.Headers, header{name, key})
	case kind == "token":
		r.Headers = append(r.Headers, header{"Authorization", "Bearer " + tokenPlaceholder})
	case kind == "certificate":
		r.Certificate = true
	}
	if k.takesKey() {
		// Whoever copies the sample has a key of their own.
		r.Headers = append(r.Headers, header{"Idempotency-Key", `"` + gateway.NewID() + `"`})
	}
	if k.Body != nil && len(k.Body.Media) > 0 && k.Body.Media[0].Example != "" {
		m := k.Body.Media[0]
		r.Headers, r.Text = append(r.Headers, header{"Content-Type", m.Type}), m.Example
		if n, err := parseNode([]byte(m.Example)); err == nil && strings.Contains(m.Type, "json") {
			r.Body = n
		}
	}
	r.URL = base + path
	if len(query) > 0 {
		r.URL += "?" + query.Encode()
	}
	return r
}

// takesKey tells whether the operation takes an Idempotency-Key.
func (o *operation) takesKey() bool {
	i := o.spec.Governance.Idempotency
	return o.Changes && (i == nil || i.Key != "off")
}

// sample writes the call in a language.
func (k *contract) sample(base, lang string) string {
	r := k.request(base, keyPlaceholder)
	write := map[string]func(*bytes.Buffer, *request){
		"curl": curlSample, "javascript": javascriptSample, "python": pythonSample, "csharp": csharpSample, "java": javaSample, "go": goSample,
	}[lang]
	var b bytes.Buffer
	write(&b, &r)
	return strings.TrimRight(b.String(), "\n")
}

// quoted writes a string in double quotes, as all these languages read it.
func quoted(s string) string {
	var b bytes.Buffer
	writeString(&b, s)
	return b.String()
}

// shell quotes an argument for a shell.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func curlSample(b *bytes.Buffer, r *request) {
	b.WriteString("curl -i")
	if r.Method != "GET" {
		b.WriteString(" -X " + r.Method)
	}
	b.WriteString(" " + shell(r.URL))
	if r.Certificate {
		b.WriteString(" \\\n  --cert client.pem --key client.key")
	}
	for _, h := range r.Headers {
		b.WriteString(" \\\n  -H " + shell(h.Name+": "+h.Value))
	}
	if r.Text != "" {
		b.WriteString(" \\\n  --data-raw " + shell(r.Text))
	}
}

func javascriptSample(b *bytes.Buffer, r *request) {
	b.WriteString("const answer = await fetch(" + quoted(r.URL) + ", {\n  method: " + quoted(r.Method) + ",\n  headers: {\n")
	for _, h := range r.Headers {
		b.WriteString("    " + quoted(h.Name) + ": " + quoted(h.Value) + ",\n")
	}
	b.WriteString("  },\n")
	switch {
	case r.Body != nil:
		b.WriteString("  body: JSON.stringify(" + indent(string(r.Body.json()), "  ") + "),\n")
	case r.Text != "":
		b.WriteString("  body: " + quoted(r.Text) + ",\n")
	}
	b.WriteString("});\nconsole.log(answer.status, await answer.text());\n")
}

func pythonSample(b *bytes.Buffer, r *request) {
	b.WriteString("import requests\n\nanswer = requests.request(\n    " + quoted(r.Method) + ",\n    " + quoted(r.URL) + ",\n    headers={\n")
	for _, h := range r.Headers {
		b.WriteString("        " + quoted(h.Name) + ": " + quoted(h.Value) + ",\n")
	}
	b.WriteString("    },\n")
	switch {
	case r.Body != nil:
		b.WriteString("    json=")
		pythonValue(b, r.Body, "\n    ")
		b.WriteString(",\n")
	case r.Text != "":
		b.WriteString("    data=" + quoted(r.Text) + ",\n")
	}
	if r.Certificate {
		b.WriteString("    cert=(\"client.pem\", \"client.key\"),\n")
	}
	b.WriteString("    timeout=30,\n)\nprint(answer.status_code, answer.text)\n")
}

// pythonValue writes a value as Python has it.
func pythonValue(b *bytes.Buffer, n *node, line string) {
	switch {
	case n.kind == literal:
		b.WriteString(map[string]string{"true": "True", "false": "False", "null": "None"}[n.text])
		if n.text != "true" && n.text != "false" && n.text != "null" {
			b.WriteString(n.text)
		}
	case n.kind == text:
		b.WriteString(quoted(n.text))
	case len(n.items) == 0:
		b.WriteString(map[kind]string{array: "[]", object: "{}"}[n.kind])
	default:
		brackets := map[kind]string{array: "[]", object: "{}"}[n.kind]
		b.WriteByte(brackets[0])
		for i, item := range n.items {
			b.WriteString(line + "    ")
			if n.kind == object {
				b.WriteString(quoted(n.names[i]) + ": ")
			}
			pythonValue(b, item, line+"    ")
			b.WriteByte(',')
		}
		b.WriteString(line)
		b.WriteByte(brackets[1])
	}
}

// contentHeader splits off what languages set with the body.
func (r *request) contentHeader() (others []header, content string) {
	for _, h := range r.Headers {
		if h.Name == "Content-Type" {
			content = h.Value
			continue
		}
		others = append(others, h)
	}
	return others, content
}

func csharpSample(b *bytes.Buffer, r *request) {
	others, content := r.contentHeader()
	b.WriteString("using var client = new HttpClient();\nusing var request = new HttpRequestMessage(new HttpMethod(" + quoted(r.Method) + "), " + quoted(r.URL) + ");\n")
	for _, h := range others {
		b.WriteString("request.Headers.TryAddWithoutValidation(" + quoted(h.Name) + ", " + quoted(h.Value) + ");\n")
	}
	if r.Text != "" {
		quotes := `"""`
		for strings.Contains(r.Text, quotes) {
			quotes += `"`
		}
		b.WriteString("request.Content = new StringContent(" + quotes + "\n" + indent("    "+r.Text, "    ") + "\n    " + quotes + ");\n")
		b.WriteString("request.Content.Headers.ContentType = System.Net.Http.Headers.MediaTypeHeaderValue.Parse(" + quoted(content) + ");\n")
	}
	b.WriteString("using var answer = await client.SendAsync(request);\nConsole.WriteLine($\"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}\");\n")
}

func javaSample(b *bytes.Buffer, r *request) {
	b.WriteString("import java.net.URI;\nimport java.net.http.*;\n\nvar client = HttpClient.newHttpClient();\n")
	body := "HttpRequest.BodyPublishers.noBody()"
	if r.Text != "" {
		text := strings.ReplaceAll(strings.ReplaceAll(r.Text, `\`, `\\`), `"""`, `\"""`)
		b.WriteString("var body = \"\"\"\n" + indent("    "+text, "    ") + "\"\"\";\n")
		body = "HttpRequest.BodyPublishers.ofString(body)"
	}
	b.WriteString("var request = HttpRequest.newBuilder(URI.create(" + quoted(r.URL) + "))\n    .method(" + quoted(r.Method) + ", " + body + ")\n")
	for _, h := range r.Headers {
		b.WriteString("    .header(" + quoted(h.Name) + ", " + quoted(h.Value) + ")\n")
	}
	b.WriteString("    .build();\nvar answer = client.send(request, HttpResponse.BodyHandlers.ofString());\nSystem.out.println(answer.statusCode() + \" \" + answer.body());\n")
}

func goSample(b *bytes.Buffer, r *request) {
	b.WriteString("package main\n\nimport (\n\t\"fmt\"\n\t\"io\"\n\t\"log\"\n\t\"net/http\"\n")
	body := "nil"
	if r.Text != "" {
		b.WriteString("\t\"strings\"\n")
		body = "strings.NewReader(body)"
	}
	b.WriteString(")\n\n")
	if r.Text != "" {
		text := "`" + r.Text + "`"
		if strings.Contains(r.Text, "`") {
			text = strconv.Quote(r.Text)
		}
		b.WriteString("const body = " + text + "\n\n")
	}
	b.WriteString("func main() {\n\treq, err := http.NewRequest(" + quoted(r.Method) + ", " + strconv.Quote(r.URL) + ", " + body + ")\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n")
	for _, h := range r.Headers {
		b.WriteString("\treq.Header.Set(" + strconv.Quote(h.Name) + ", " + strconv.Quote(h.Value) + ")\n")
	}
	b.WriteString("\tresp, err := http.DefaultClient.Do(req)\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tdefer resp.Body.Close()\n\tdata, err := io.ReadAll(resp.Body)\n\tfmt.Println(resp.StatusCode, string(data), err)\n}\n")
}

// indent puts space before each line but the first.
func indent(text, space string) string { return strings.ReplaceAll(text, "\n", "\n"+space) }
