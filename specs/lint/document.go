package lint

import (
	"net/url"
	"regexp"
	"strings"
)

// documentRules are about the API as a whole.
func documentRules() []Rule {
	return []Rule{
		{
			Name: "api-description", Severity: Error,
			Summary: "The API says in its info what it is for.",
			Why:     "A catalogue of titles helps nobody to find the right API.",
			Bad:     "info: {title: Orders, version: 1.0.0}\npaths: {}\n",
			Good:    "info: {title: Orders, version: 1.0.0, description: Sales orders from placing to billing.}\npaths: {}\n",
			check: func(p *pass) {
				if strings.TrimSpace(p.contract.Description) == "" {
					p.addAt(p.contract.Whole.At("info").Position(), "", "the API has no description", "say in info.description what it is for")
				}
			},
		},
		{
			Name: "api-owner", Severity: Error,
			Summary: "The API names the team that answers for it.",
			Why:     "Whoever has to be asked before a change must be known before it is needed.",
			Bad:     "x-headrace: {domain: orders}\npaths: {}\n",
			Good:    "x-headrace: {domain: orders, owner: order-team}\npaths: {}\n",
			check: func(p *pass) {
				if g := p.contract.Governance; g.Owner == "" {
					p.addAt(g.Node.Position(), "", "the API has no owner", "name the team in x-headrace.owner")
				}
			},
		},
		{
			Name: "api-domain", Severity: Warning,
			Summary: "The API belongs to a business domain.",
			Why:     "The catalogue is sorted by domain.",
			Bad:     "x-headrace: {owner: order-team}\npaths: {}\n",
			Good:    "x-headrace: {owner: order-team, domain: orders}\npaths: {}\n",
			check: func(p *pass) {
				if g := p.contract.Governance; g.Domain == "" {
					p.addAt(g.Node.Position(), "", "the API has no domain", "name it in x-headrace.domain, for example orders")
				}
			},
		},
		{
			Name: "version-is-semantic", Severity: Error,
			Summary: "info.version is the version that the folder names.",
			Why:     "Two numbers for one version end in a wrong one being cited.",
			Bad:     "info: {title: Orders, version: v3, description: Sales orders.}\npaths: {}\n",
			Good:    "info: {title: Orders, version: 1.0.0, description: Sales orders.}\npaths: {}\n",
			check: func(p *pass) {
				at, folder := p.contract.Whole.At("info", "version"), p.contract.Version
				said := p.contract.Whole.Get("info").Get("version").Text()
				if !semantic.MatchString(said) || semantic.MatchString(folder) && said != folder {
					p.addAt(at.Position(), "", "the version is "+said, "write MAJOR.MINOR.PATCH, as the folder has it")
				}
			},
		},
		{
			Name: "server-is-public", Severity: Error,
			Summary: "Servers are reached by https, and are not inside the company.",
			Why:     "Partners read the document. A host of the ERP in it is of no use to them and of some to an attacker.",
			Bad:     "servers: [{url: 'http://erp.internal:8080'}]\npaths: {}\n",
			Good:    "servers: [{url: 'https://api.example.com'}]\npaths: {}\n",
			check:   servers,
		},
	}
}

var semantic = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

func servers(p *pass) {
	for i, s := range p.model.Servers {
		u, err := url.Parse(s.URL)
		if err != nil || u.Host == "" {
			continue // relative, or with variables
		}
		host := u.Hostname()
		inside := host == "localhost" || strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "10.") || strings.HasPrefix(host, "192.168.") ||
			strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".local") || !strings.Contains(host, ".")
		if u.Scheme == "https" && !inside {
			continue
		}
		at := p.contract.Whole.Get("servers").Items()[i]
		p.addAt(at.Position(), "", s.URL+" is no address for callers", "name the gateway's https address, or leave servers out")
	}
}
