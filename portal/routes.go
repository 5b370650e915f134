package portal

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// who may use a route, at least. Beyond that, handlers compare each object with
// the visitor's organisation.
type who int

const (
	anyone    who = iota
	signedIn      // anybody with an account
	member        // of the organisation whose things the page shows, in any role
	developer     // a member who may change apps and credentials
	owner         // a member who may change the organisation
	manager       // a partner manager of ours
)

// route is one of the portal. A new one is a line in the table below; tests walk it.
type route struct {
	method string
	// path has its parameters in braces: /apis/{api}/{major}.
	path    string
	who     who
	handler func(*Portal, *call) error
	// body is how long a request may be, in bytes; shortBody when 0.
	body int64
}

const (
	shortBody = 64 << 10
	longBody  = 2 << 20
)

// routes is the table: what there is, and for whom.
func (p *Portal) routes() []route {
	return slices.Concat(p.docRoutes(), p.peopleRoutes(), p.eventRoutes())
}

// docRoutes are the catalogue and what is written about each API.
func (p *Portal) docRoutes() []route {
	return []route{
		{"GET", "/", anyone, (*Portal).home, 0},
		{"POST", "/theme", anyone, (*Portal).setTheme, 0},
		{"GET", "/apis", anyone, (*Portal).apis, 0},
		{"GET", "/search", anyone, (*Portal).searchPage, 0},
		{"GET", "/apis/{api}/{major}", anyone, (*Portal).apiOverview, 0},
		{"GET", "/apis/{api}/{major}/reference", anyone, (*Portal).referenceIndex, 0},
		{"GET", "/apis/{api}/{major}/reference/{operation}", anyone, (*Portal).referencePage, 0},
		{"GET", "/apis/{api}/{major}/guide", anyone, (*Portal).guidePage, 0},
		{"GET", "/apis/{api}/{major}/openapi.json", anyone, (*Portal).openapiJSON, 0},
		{"GET", "/apis/{api}/{major}/openapi.yaml", anyone, (*Portal).openapiYAML, 0},
		{"GET", "/apis/{api}/{major}/postman.json", anyone, (*Portal).postman, 0},
		{"GET", "/apis/{api}/{major}/changes", anyone, (*Portal).changesPage, 0},
		{"GET", "/try/{api}/{major}/{operation}", anyone, (*Portal).tryForm, 0},
		{"POST", "/try/{api}/{major}/{operation}", anyone, (*Portal).tryCall, longBody},
		{"POST", "/try/{api}/{major}/{operation}/write", anyone, (*Portal).tryWrite, 0},
		{"GET", "/products", anyone, (*Portal).productList, 0},
		{"GET", "/products/{product}", anyone, (*Portal).productPage, 0},
	}
}

// peopleRoutes are accounts, organisations, apps, subscriptions and credentials.
func (p *Portal) peopleRoutes() []route {
	return []route{
		{"GET", "/sign-up", anyone, (*Portal).signUpForm, 0},
		{"POST", "/sign-up", anyone, (*Portal).signUp, 0},
		{"GET", "/confirm", anyone, (*Portal).confirmForm, 0},
		{"POST", "/confirm", anyone, (*Portal).confirm, 0},
		{"GET", "/sign-in", anyone, (*Portal).signInForm, 0},
		{"POST", "/sign-in", anyone, (*Portal).signIn, 0},
		{"GET", "/sign-in/code", anyone, (*Portal).codeForm, 0},
		{"POST", "/sign-in/code", anyone, (*Portal).code, 0},
		{"POST", "/sign-in/passkey/challenge", anyone, (*Portal).passkeyChallenge, 0},
		{"POST", "/sign-in/passkey", anyone, (*Portal).passkeySignIn, 0},
		{"GET", "/sign-in/oidc", anyone, (*Portal).oidcStart, 0},
		{"GET", "/sign-in/oidc/back", anyone, (*Portal).oidcBack, 0},
		{"POST", "/sign-out", signedIn, (*Portal).signOut, 0},
		{"GET", "/reset", anyone, (*Portal).resetForm, 0},
		{"POST", "/reset", anyone, (*Portal).reset, 0},
		{"GET", "/reset/{token}", anyone, (*Portal).newPasswordForm, 0},
		{"POST", "/reset/{token}", anyone, (*Portal).newPassword, 0},
		{"GET", "/invitations/{token}", anyone, (*Portal).invitationForm, 0},
		{"POST", "/invitations/{token}", anyone, (*Portal).acceptInvitation, 0},
		{"GET", "/outbox", anyone, (*Portal).outbox, 0},

		{"GET", "/account", signedIn, (*Portal).account, 0},
		{"POST", "/account/name", signedIn, (*Portal).rename, 0},
		{"POST", "/account/password", signedIn, (*Portal).changePassword, 0},
		{"POST", "/account/delete", signedIn, (*Portal).deleteAccount, 0},
		{"POST", "/account/sessions/{session}/end", signedIn, (*Portal).endSession, 0},
		{"POST", "/account/totp", signedIn, (*Portal).startTOTP, 0},
		{"GET", "/account/totp", signedIn, (*Portal).totpForm, 0},
		{"GET", "/account/totp/picture.png", signedIn, (*Portal).totpPicture, 0},
		{"POST", "/account/totp/add", signedIn, (*Portal).addTOTP, 0},
		{"POST", "/account/totp/remove", signedIn, (*Portal).removeTOTP, 0},
		{"POST", "/account/passkeys/challenge", signedIn, (*Portal).addPasskeyChallenge, 0},
		{"POST", "/account/passkeys", signedIn, (*Portal).addPasskey, 0},
		{"POST", "/account/passkeys/{passkey}/delete", signedIn, (*Portal).deletePasskey, 0},

		{"GET", "/organisation", signedIn, (*Portal).organisation, 0},
		{"POST", "/organisation/found", signedIn, (*Portal).foundOrganisation, 0},
		{"POST", "/organisation/switch", signedIn, (*Portal).switchOrganisation, 0},
		{"POST", "/organisation/name", owner, (*Portal).renameOrganisation, 0},
		{"POST", "/organisation/members", owner, (*Portal).invite, 0},
		{"POST", "/organisation/members/{member}/role", owner, (*Portal).changeMember, 0},
		{"POST", "/organisation/members/{member}/remove", owner, (*Portal).removeMember, 0},
		{"POST", "/organisation/messages", member, (*Portal).message, 0},

		{"GET", "/apps", member, (*Portal).apps, 0},
		{"POST", "/apps", developer, (*Portal).openApp, 0},
		{"GET", "/apps/{app}", member, (*Portal).app, 0},
		{"POST", "/apps/{app}", developer, (*Portal).changeApp, 0},
		{"POST", "/apps/{app}/addresses", developer, (*Portal).changeAddresses, 0},
		{"POST", "/apps/{app}/delete", owner, (*Portal).deleteApp, 0},
		{"POST", "/apps/{app}/keys", developer, (*Portal).newKey, 0},
		{"POST", "/apps/{app}/clients", developer, (*Portal).newClient, 0},
		{"POST", "/apps/{app}/certificates", developer, (*Portal).addCertificate, 0},
		{"POST", "/apps/{app}/credentials/{credential}/rotate", developer, (*Portal).rotateKey, 0},
		{"POST", "/apps/{app}/credentials/{credential}/revoke", developer, (*Portal).revokeCredential, 0},
		{"POST", "/apps/{app}/subscriptions", developer, (*Portal).subscribe, 0},
		{"POST", "/apps/{app}/subscriptions/{subscription}/plan", developer, (*Portal).changePlan, 0},
		{"POST", "/apps/{app}/subscriptions/{subscription}/end", developer, (*Portal).endSubscription, 0},

		{"GET", "/manage/requests", manager, (*Portal).requests, 0},
		{"POST", "/manage/subscriptions/{subscription}", manager, (*Portal).decide, 0},
		{"POST", "/manage/subscriptions/{subscription}/plan", manager, (*Portal).managePlan, 0},
		{"GET", "/manage/organisations", manager, (*Portal).organisations, 0},
		{"POST", "/manage/organisations", manager, (*Portal).invitePartner, 0},
		{"GET", "/manage/organisations/{organisation}", manager, (*Portal).partner, 0},
		{"POST", "/manage/organisations/{organisation}/messages", manager, (*Portal).messagePartner, 0},
		{"POST", "/manage/organisations/{organisation}/suspend", manager, (*Portal).suspendPartner, 0},
		{"POST", "/manage/organisations/{organisation}/look", manager, (*Portal).impersonate, 0},
		{"POST", "/manage/stop", signedIn, (*Portal).stopLooking, 0},
	}
}

// eventRoutes are what happens: usage, writes, webhooks, notices, status.
func (p *Portal) eventRoutes() []route {
	return []route{
		{"GET", "/status", anyone, (*Portal).status, 0},
		{"GET", "/usage", member, (*Portal).usage, 0},
		{"GET", "/usage.csv", member, (*Portal).usageFile, 0},
		{"GET", "/apps/{app}/usage", member, (*Portal).usage, 0},
		{"GET", "/apps/{app}/usage.csv", member, (*Portal).usageFile, 0},
		{"GET", "/writes", member, (*Portal).writes, 0},
		{"GET", "/apps/{app}/writes", member, (*Portal).writes, 0},
		{"GET", "/writes/{write}", member, (*Portal).write, 0},
		{"POST", "/writes/{write}/fix", developer, (*Portal).fixWrite, longBody},
		{"POST", "/writes/{write}/cancel", developer, (*Portal).takeBack, 0},
		{"POST", "/writes/{write}/leave", developer, (*Portal).giveUp, 0},
		{"GET", "/webhooks", member, (*Portal).webhooks, 0},
		{"POST", "/webhooks", developer, (*Portal).addWebhook, 0},
		{"GET", "/webhooks/{webhook}", member, (*Portal).webhook, 0},
		{"POST", "/webhooks/{webhook}", developer, (*Portal).changeWebhook, 0},
		{"POST", "/webhooks/{webhook}/turn", developer, (*Portal).turnWebhook, 0},
		{"POST", "/webhooks/{webhook}/rotate", developer, (*Portal).rotateWebhook, 0},
		{"POST", "/webhooks/{webhook}/test", developer, (*Portal).testWebhook, 0},
		{"POST", "/webhooks/{webhook}/delete", developer, (*Portal).deleteWebhook, 0},
		{"GET", "/webhooks/{webhook}/deliveries/{number}", member, (*Portal).delivery, 0},
		{"POST", "/webhooks/{webhook}/deliveries/{number}/again", developer, (*Portal).redeliver, 0},
		{"GET", "/notices", signedIn, (*Portal).notices, 0},
		{"POST", "/notices/mail", signedIn, (*Portal).wantMail, 0},
		{"POST", "/notices", manager, (*Portal).announce, 0},
		{"POST", "/notices/{announcement}/withdraw", manager, (*Portal).withdraw, 0},
	}
}

// mount lets the application answer everything.
func (p *Portal) mount(e *echo.Echo) {
	e.Use(p.identify, p.protect)
	both := []string{"GET", "HEAD"}
	e.Match(both, assetRoot+"*", p.assets.serve)
	e.Match(both, "/favicon.ico", p.assets.icon)
	for _, r := range p.routes() {
		handler := p.serve(r)
		e.Add(r.method, echoPath(r.path), handler)
		if r.method == "GET" {
			e.Add("HEAD", echoPath(r.path), handler)
		}
	}
}

// echoPath puts a path into echo's words: {name} is :name, {name...} is *.
func echoPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch name := strings.Trim(part, "{}"); {
		case name == part:
		case strings.HasSuffix(name, "..."):
			parts[i] = "*"
		default:
			parts[i] = ":" + name
		}
	}
	return strings.Join(parts, "/")
}
