package workspace

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

func portalOf(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var ps source.Problems
	var c Config
	source.Decode(source.Parse("headrace.yaml", []byte(text), source.DefaultLimits, &ps), &c, &ps)
	c.check(&ps)
	return &c, ps.Err()
}

func TestPortalSettings(t *testing.T) {
	t.Setenv("MAIL_PASSWORD", "secret")
	c, err := portalOf(t, "portal: {}\n")
	if err != nil || c.Portal.Listen != "127.0.0.1:8082" || c.Portal.SignUp != "invitation" || c.Portal.Sends() {
		t.Errorf("%v %+v", err, c.Portal)
	}
	full := `portal:
  listen: 0.0.0.0:8082
  url: https://developers.example.com
  title: Supply APIs
  gateway: https://api.example.com
  sandbox: https://sandbox.example.com
  sign_up: open
  mail: {smtp: "mail.example.com:587", from: "APIs <apis@example.com>", username: portal, password: "${env:MAIL_PASSWORD}"}
  oidc: {issuer: https://login.example.com, client_id: portal, client_secret: "${env:MAIL_PASSWORD}"}
`
	c, err = portalOf(t, full)
	if err != nil || !c.Portal.Sends() || c.Portal.Mail.TLS != "starttls" {
		t.Errorf("%v %+v", err, c.Portal)
	}
	if plain := c.Portal.plain(); strings.Contains(plain, "secret") && !strings.Contains(plain, "${env:MAIL_PASSWORD}") {
		t.Error(plain)
	}
	other, err := portalOf(t, strings.Replace(full, "sign_up: open", "sign_up: off", 1))
	if err != nil || strings.Join(c.Waiting(other), " ") != "portal" || len(c.Waiting(c)) != 0 {
		t.Errorf("%v %v %v", err, c.Waiting(other), c.Waiting(c))
	}
	if (*Portal)(nil).Sends() || (*Portal)(nil).plain() != "" {
		t.Error("no portal sends mails")
	}
}

func TestPortalSettingsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"portal: {listen: nowhere}":                                                                "headrace.yaml:1:18: portal.listen: \"nowhere\" is not an address",
		"portal: {listen: \"127.0.0.1:8080\"}":                                                     "cannot share an address",
		"portal: {listen: \"127.0.0.1:8081\"}":                                                     "cannot share an address",
		"listen: {gateway: \"127.0.0.1:8082\"}\nportal: {title: x}":                                "cannot share an address",
		"portal: {listen: \"0.0.0.0:8082\"}":                                                       "url is missing",
		"portal: {url: \"http://developers.example.com\"}":                                         "must go over https",
		"portal: {url: \"https://developers.example.com/portal\"}":                                 "no path below its host",
		"portal: {gateway: \"api.example.com\"}":                                                   "is not an address",
		"portal: {sandbox: \"https://me:secret@api.example.com\"}":                                 "is not an address",
		"portal: {sign_up: maybe}":                                                                 "headrace.yaml:1:19",
		"portal: {colour: red}":                                                                    "colour",
		"portal: {mail: {smtp: mail.example.com, from: a@example.com}}":                            "write HOST:PORT",
		"portal: {mail: {from: a@example.com}}":                                                    "smtp",
		"portal: {mail: {smtp: \"mail.example.com:25\", from: a@example.com, tls: \"off\"}}":       "must not go in plain text",
		"portal: {mail: {smtp: \"m:25\", from: a, password: secret}}":                              "must not stand in a file",
		"portal: {mail: {smtp: \"m:25\", from: a, password: \"${env:NOT_SET_ANYWHERE}\"}}":         "is a password for nobody",
		"portal: {oidc: {issuer: \"http://login.example.com\", client_id: x}}":                     "must go over https",
		"portal: {oidc: {issuer: \"https://l.example.com\", client_id: x, client_secret: secret}}": "must not stand in a file",
	} {
		_, err := portalOf(t, text+"\n")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "me:secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
