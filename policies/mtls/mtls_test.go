package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (i *identity) thumbprint() string {
	digest := sha256.Sum256(i.cert.Raw)
	return "sha256:" + hex.EncodeToString(digest[:])
}

func (i *identity) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert}
}

// issue makes a certificate; issuer nil makes it sign itself.
func issue(t *testing.T, issuer *identity, template x509.Certificate) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if !template.IsCA {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	} else {
		template.BasicConstraintsValid, template.KeyUsage = true, x509.KeyUsageCertSign
	}
	parent, signer := &template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key}
}

func named(cn string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: cn, Organization: []string{"Acme, Inc."}, Country: []string{"DE"}}}
}

// world has an authority and the certificates of a test.
type world struct {
	ca                                                     *identity
	bySubject, byThumbprint, selfSigned, impostor, strange *identity
	disabled                                               *identity
}

func newWorld(t *testing.T) world {
	var w world
	authority := named("authority")
	authority.IsCA = true
	w.ca = issue(t, nil, authority)
	w.bySubject = issue(t, w.ca, named("shop"))
	w.byThumbprint = issue(t, w.ca, named("pinned"))
	w.selfSigned = issue(t, nil, named("self"))
	w.impostor = issue(t, nil, named("shop"))
	w.strange = issue(t, w.ca, named("strange"))
	w.disabled = issue(t, w.ca, named("disabled"))
	return w
}

func (w world) consumers() string {
	return fmt.Sprintf(`
organisations: {acme: {}}
apps:
  shop: {organisation: acme, certificates: [{subject: 'CN=shop, O=Acme\, Inc., C=DE'}]}
  pinned: {organisation: acme, certificates: [{thumbprint: %q}, {thumbprint: %q}]}
  disabled: {organisation: acme, disabled: true, certificates: [{subject: 'CN=disabled,O=Acme\, Inc.,C=DE'}]}
`, w.byThumbprint.thumbprint(), "sha256:"+strings.ToUpper(w.selfSigned.thumbprint()[7:]))
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	for _, verify := range []bool{true, false} {
		s := policytest.New(t, policytest.Options{
			Kinds: []gateway.Kind{Kind()}, Policies: "mtls: {}", Consumers: w.consumers(), Unstarted: true,
			Schemes: map[string]*specs.SecurityScheme{"key": {Type: "apiKey"}, "tls": {Type: "mutualTLS"}},
		})
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: x509.NewCertPool()}
		s.TLS.ClientCAs.AddCert(w.ca.cert)
		if verify {
			s.TLS.ClientAuth = tls.VerifyClientCertIfGiven
		}
		s.StartTLS()
		for _, c := range []struct {
			name   string
			cert   *identity
			status int
			app    string
			detail string
		}{
			{"none", nil, 200, "", ""},
			{"by thumbprint", w.byThumbprint, 200, "pinned", ""},
			{"by subject", w.bySubject, map[bool]int{true: 200, false: 401}[verify], "shop", "the client certificate belongs to no app"},
			{"unknown", w.strange, 401, "", "the client certificate belongs to no app"},
			{"disabled", w.disabled, map[bool]int{true: 403, false: 401}[verify], "", map[bool]string{true: `the app "disabled" is disabled`, false: "the client certificate belongs to no app"}[verify]},
			// Servers that verify end such connections before a request is made.
			{"signed by itself, pinned", w.selfSigned, 200, "pinned", ""},
			{"signed by itself, with the subject of another", w.impostor, 401, "", "the client certificate belongs to no app"},
		} {
			if verify && (c.cert == w.selfSigned || c.cert == w.impostor) {
				continue
			}
			t.Run(fmt.Sprintf("%s, verified %v", c.name, verify), func(t *testing.T) {
				transport := s.Client().Transport.(*http.Transport).Clone()
				defer transport.CloseIdleConnections()
				if c.cert != nil {
					// Certificates alone would hold back what no authority of the server has issued.
					transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						return c.cert.tls(), nil
					}
				}
				a := s.Do(t, &http.Client{Transport: transport}, s.Request(t, http.MethodGet, "/orders"))
				if a.Status != c.status || (a.Seen != nil) != (c.status == 200) {
					t.Fatalf("%d %s", a.Status, a.Detail)
				}
				if a.Seen == nil {
					if a.Detail != c.detail {
						t.Errorf("detail %q", a.Detail)
					}
					if a.Status == 401 && a.Header.Get("WWW-Authenticate") != `Certificate realm="orders/v1"` {
						t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
					}
					return
				}
				if a.Seen.App != c.app || (a.Seen.Identified == 2) != (c.app != "") {
					t.Errorf("app %q, schemes %b", a.Seen.App, a.Seen.Identified)
				}
			})
		}
	}
}

// A connection may outlive the certificate that it began with.
func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(time.Hour).Truncate(time.Second)
		template := named("pinned")
		template.NotBefore, template.NotAfter = begin, begin.Add(time.Hour)
		cert := issue(t, nil, template)
		chain, problems := policytest.Compile(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "mtls: {}",
			Consumers: fmt.Sprintf("{organisations: {acme: {}}, apps: {pinned: {organisation: acme, certificates: [{thumbprint: %q}]}}}", cert.thumbprint())})
		if problems != nil {
			t.Fatal(problems)
		}
		call := func() string {
			x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
			x.Request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.cert}}
			_, err := chain(x)
			if err == nil {
				return ""
			}
			return gateway.AsError(err).Detail
		}
		if got := call(); got != "the client certificate is not valid yet" {
			t.Errorf("before: %q", got)
		}
		time.Sleep(time.Until(begin))
		if got := call(); got != "" {
			t.Errorf("at the beginning: %q", got)
		}
		time.Sleep(time.Hour)
		if got := call(); got != "" {
			t.Errorf("at the end: %q", got)
		}
		time.Sleep(time.Second)
		if got := call(); got != "the client certificate has expired" {
			t.Errorf("after: %q", got)
		}
	})
}

// Headers of proxies prove nothing.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	s := policytest.New(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "mtls: {}", Consumers: w.consumers()})
	a := s.Get(t, "/orders", "X-Client-Cert", w.byThumbprint.thumbprint(), "X-Forwarded-Client-Cert", "Hash="+w.byThumbprint.thumbprint()[7:], "Client-Cert", w.byThumbprint.thumbprint())
	if a.Status != 200 || a.Seen.App != "" {
		t.Errorf("%d, app %q", a.Status, a.Seen.App)
	}
}
