package portal

import (
	"bytes"
	"html/template"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	gmtext "github.com/yuin/goldmark/text"
)

// markdown makes pages of what documents and guides say. Both are written by
// others, so what comes out is cleaned whatever went in.
type markdown struct {
	language goldmark.Markdown
	allowed  *bluemonday.Policy
}

func newMarkdown() *markdown {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li",
		"table", "thead", "tbody", "tr", "th", "td", "sup", "sub", "kbd", "dl", "dt", "dd")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("https", "http", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	p.RequireNoReferrerOnLinks(true)
	p.RequireNoFollowOnLinks(true)
	return &markdown{language: goldmark.New(goldmark.WithExtensions(extension.GFM)), allowed: p}
}

// html renders text. Its headings begin at the given level, below those of the page.
func (m *markdown) html(source string, level int) template.HTML {
	if strings.TrimSpace(source) == "" {
		return ""
	}
	data := []byte(source)
	tree := m.language.Parser().Parse(gmtext.NewReader(data))
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it returns only what this returns
		if h, ok := n.(*ast.Heading); ok && entering {
			h.Level = min(6, h.Level+level-1)
		}
		return ast.WalkContinue, nil
	})
	var b bytes.Buffer
	if err := m.language.Renderer().Render(&b, data, tree); err != nil {
		return template.HTML(template.HTMLEscapeString(source))
	}
	return template.HTML(m.allowed.SanitizeBytes(b.Bytes()))
}

// firstSentence is the beginning of a text in Markdown as plain words, for lists.
func firstSentence(source string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(source), "\n\n")
	line = strings.Join(strings.Fields(strings.TrimLeft(line, "# ")), " ")
	line = strings.NewReplacer("`", "", "**", "", "__", "").Replace(line)
	if i := strings.Index(line, ". "); i > 0 {
		line = line[:i+1]
	}
	if runes := []rune(line); len(runes) > 180 {
		line = strings.TrimSpace(string(runes[:179])) + "…"
	}
	return line
}
