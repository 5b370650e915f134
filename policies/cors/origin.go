package cors

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/headrace/headrace/gateway"
)

// origins are those that may call.
type origins struct {
	all   bool
	exact map[string]bool
	below []pattern
}

// pattern stands for the names below a host: scheme://*suffix, where the
// suffix begins with a dot and may end with a port.
type pattern struct{ scheme, suffix string }

func newOrigins(b *gateway.Binding, list []string) origins {
	o := origins{exact: map[string]bool{}}
	nodes := b.Settings.At("origins").Items()
	for i, text := range list {
		at := b.Settings.At("origins")
		if i < len(nodes) {
			at = nodes[i]
		}
		if err := o.add(text); err != nil {
			b.Problems.Add(at, err.Error(), "write scheme and host, for example https://shop.example.com or https://*.example.com")
		}
	}
	if len(list) == 0 {
		b.Problems.Add(b.Settings, "no origin may call", "list the origins of your web pages")
	}
	return o
}

func (o *origins) add(text string) error {
	if text == "*" {
		o.all = true
		return nil
	}
	scheme, host, ok := strings.Cut(strings.ToLower(text), "://")
	wildcard := strings.HasPrefix(host, "*.")
	u, err := url.Parse(scheme + "://" + strings.TrimPrefix(host, "*."))
	switch {
	case text == "null":
		return fmt.Errorf("the origin null is that of any sandboxed page")
	case !ok || err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(host, "/?#") || strings.Contains(u.Host, "*"):
		return fmt.Errorf("%q is not an origin", text)
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443":
		return fmt.Errorf("%q names the usual port, which browsers leave out", text)
	case !wildcard:
		o.exact[u.Scheme+"://"+u.Host] = true
	default:
		o.below = append(o.below, pattern{scheme: u.Scheme + "://", suffix: "." + u.Host})
	}
	return nil
}

func (o *origins) contains(origin string) bool {
	if o.all || o.exact[origin] {
		return true
	}
	for _, p := range o.below {
		name, ok := strings.CutPrefix(origin, p.scheme)
		if !ok {
			continue
		}
		if name, ok = strings.CutSuffix(name, p.suffix); ok && hostname(name) {
			return true
		}
	}
	return false
}

// hostname tells whether a text is one or more labels of a host name.
func hostname(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
