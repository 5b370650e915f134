package portal

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed templates
var templates embed.FS

// frame is what the layout shows around a page; the page itself gets Data as
// .Data.
type frame struct {
	Portal  string // its title
	Title   string
	Path    string // of this page, to mark it in the navigation and to come back to
	Visitor *visitor
	SignUp  bool
	Nav     []navItem
	Theme   string // light, dark, or empty for the system's
	Themes  []themeItem
	Notice  string // a sentence of the form before
	Data    any
}

// navItem is a place in the main navigation.
type navItem struct {
	Path, Text string
	Here       bool
	Push       bool // to the far end
}

// themeItem is a choice of colours.
type themeItem struct {
	Value, Text string
	Chosen      bool
}

// frame puts together what the layout shows.
func (c *call) frame(title string, data any) *frame {
	here := c.Request().URL
	return &frame{
		Portal: c.portal.options.Title, Title: title, Path: here.RequestURI(), Visitor: c.visitor, SignUp: c.portal.options.SignUp == "open",
		Nav: navigation(c.visitor, here.Path, c.portal.options.SignUp == "open"), Theme: c.theme(), Themes: themes(c.theme()), Notice: c.notice(), Data: data,
	}
}

func themes(now string) []themeItem {
	return []themeItem{{"system", "System", now == ""}, {"light", "Light", now == "light"}, {"dark", "Dark", now == "dark"}}
}

// navigation is what a visitor can go to; open tells that everybody may sign up.
func navigation(v *visitor, here string, open bool) []navItem {
	items := []navItem{{Path: "/apis", Text: "Catalogue"}}
	switch {
	case v == nil:
		items = append(items, navItem{Path: "/status", Text: "Status"}, navItem{Path: "/sign-in", Text: "Sign in", Push: true})
		if open {
			items = append(items, navItem{Path: "/sign-up", Text: "Sign up"})
		}
	default:
		items = append(items, navItem{Path: "/apps", Text: "Apps"}, navItem{Path: "/usage", Text: "Usage"}, navItem{Path: "/writes", Text: "Writes"},
			navItem{Path: "/webhooks", Text: "Webhooks"}, navItem{Path: "/notices", Text: "Notices"})
		if v.manager {
			items = append(items, navItem{Path: "/manage/requests", Text: "Requests"}, navItem{Path: "/manage/organisations", Text: "Organisations"})
		}
		items = append(items, navItem{Path: "/organisation", Text: "Organisation", Push: true}, navItem{Path: "/account", Text: "Account"})
	}
	for i := range items {
		items[i].Here = under(here, items[i].Path)
	}
	for _, also := range []string{"/try", "/products", "/search"} {
		items[0].Here = items[0].Here || under(here, also)
	}
	return items
}

// under tells whether a page stands at a path or below it.
func under(here, path string) bool { return here == path || strings.HasPrefix(here, path+"/") }

// pages are the templates by name: each page with the layout and the parts.
type pages struct {
	byName map[string]*template.Template
}

func newPages(a *assets) (*pages, error) {
	base, err := template.New("layout").Funcs(functions(a)).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	files, err := fs.Glob(templates, "templates/pages/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{byName: map[string]*template.Template{}}
	for _, file := range files {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templates, file)
		}
		if err != nil {
			return nil, fmt.Errorf("portal: %s: %w", file, err)
		}
		p.byName[strings.TrimSuffix(path.Base(file), ".html")] = t
	}
	return p, nil
}

// render makes a page as a whole, so that a fault in it is an error and no half page.
func (p *pages) render(name string, f *frame) ([]byte, error) {
	t := p.byName[name]
	if t == nil {
		return nil, fmt.Errorf("portal: there is no page %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// functions are what templates may call.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset":     a.path,
		"count":     count,
		"date":      func(t time.Time) string { return t.UTC().Format("2 January 2006") },
		"stamp":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"sentence":  sentence,
		"lower":     strings.ToLower,
		"join":      strings.Join,
		"ticks":     ticks,
		"dict":      dict,
		"device":    device,
		"thousands": thousandsOf,
		"millis":    millis,
	}
}

// ticks shows what stands between backticks as code.
func ticks(text string) template.HTML {
	var b strings.Builder
	parts := strings.Split(text, "`")
	for i, part := range parts {
		if part = template.HTMLEscapeString(part); i%2 == 1 && i < len(parts)-1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

// dict hands several values to a part: name, value, and so on.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict needs pairs")
	}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// count says how many there are: 1 call, 2 calls, 3 entries.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ay") && !strings.HasSuffix(noun, "ey"):
		return fmt.Sprint(n, " ", strings.TrimSuffix(noun, "y"), "ies")
	}
	return fmt.Sprint(n, " ", noun, "s")
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// yearly is how long choices of looks are kept.
const yearly = 365 * 24 * time.Hour

// theme is what the visitor has chosen; empty for the system's.
func (c *call) theme() string {
	switch t := c.cookie(themeCookie); t {
	case "light", "dark":
		return t
	}
	return ""
}

// setTheme keeps the choice of colours and goes back.
func (p *Portal) setTheme(c *call) error {
	switch t := c.FormValue("theme"); t {
	case "light", "dark":
		c.setCookie(themeCookie, t, yearly)
	case "system":
		c.setCookie(themeCookie, "", -1)
	default:
		return c.fail(http.StatusBadRequest, "there is no such theme")
	}
	return c.redirect(local(c.FormValue("next"), "/"), "")
}
