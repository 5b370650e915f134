package portal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator makes one passkey and signs with it, as a phone would.
type authenticator struct {
	key    *ecdsa.PrivateKey
	id     []byte
	user   string // the handle of the account
	origin string
	rp     string
	count  uint32
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newDevice(t *testing.T, origin, rp string) *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authenticator{key: key, id: []byte("credential-" + rand.Text()), origin: origin, rp: rp}
}

// client is what a browser says of a ceremony.
func (d *authenticator) client(sort, challenge string) []byte {
	text, _ := json.Marshal(map[string]any{"type": sort, "challenge": challenge, "origin": d.origin, "crossOrigin": false})
	return text
}

// data is what the device says: for whom, that its owner was there and has proven it.
func (d *authenticator) data(more byte, rest ...[]byte) []byte {
	sum := sha256.Sum256([]byte(d.rp))
	d.count++
	out := append(sum[:], 0x01|0x04|more)
	out = binary.BigEndian.AppendUint32(out, d.count)
	return append(out, bytes.Join(rest, nil)...)
}

func (d *authenticator) create(t *testing.T, challenge string) string {
	point, err := d.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	data := d.data(0x40, make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(d.id))), d.id, public)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": map[string]any{
		"attestationObject": b64(object), "clientDataJSON": b64(d.client("webauthn.create", challenge))}})
	return string(text)
}

func (d *authenticator) get(t *testing.T, challenge string) string {
	client := d.client("webauthn.get", challenge)
	data := d.data(0)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(bytes.Clone(data), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": map[string]any{
		"authenticatorData": b64(data), "clientDataJSON": b64(client), "signature": b64(signature), "userHandle": b64([]byte(d.user))}})
	return string(text)
}

// challenge is what a page asks the device to sign.
type challenge struct {
	PublicKey struct {
		Challenge string
		User      struct{ ID string }
	}
}

func (b *browser) challenge(path string, pairs ...string) challenge {
	b.Helper()
	var c challenge
	a := b.post(path, pairs...).is(b, 200)
	decodeJSON(b.T, a.body, &c)
	return c
}

// json sends what a script would.
func (b *browser) json(path, text string) reply {
	b.Helper()
	r, err := http.NewRequestWithContext(b.ctx, http.MethodPost, b.server.URL+path, strings.NewReader(text))
	b.ok(err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := b.client.Do(r)
	b.ok(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.ok(err)
	return reply{resp.StatusCode, string(body), resp.Header.Get("Location"), resp.Header}
}

// TestPasskeys: a passkey signs in by itself; a signature of another challenge, site
// or device does not, and an answer counts once.
func TestPasskeys(t *testing.T) {
	w := newTown(t, func(o *Options) { o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) })
	w.server.URL = w.portal.options.URL
	ada := w.join("ada@example.com", "Ashgrove")
	d := newDevice(t, w.portal.options.URL, "localhost")
	ada.post("/account/passkeys/challenge", "current", "wrong").is(ada, 422)
	c := ada.challenge("/account/passkeys/challenge", "current", goodPassword)
	user, err := base64.RawURLEncoding.DecodeString(c.PublicKey.User.ID)
	w.ok(err)
	d.user = string(user)
	made := d.create(t, c.PublicKey.Challenge)
	ada.json("/account/passkeys?name=phone", made).is(ada, 200, "/account")
	ada.json("/account/passkeys?name=phone", made).is(ada, 410)
	ada.get("/account").is(ada, 200, "phone")
	w.mailed("ada@example.com", "a passkey was added")

	b := w.browser()
	signIn := "/sign-in/passkey?next=" + url.QueryEscape("/organisation")
	answer := d.get(t, b.challenge("/sign-in/passkey/challenge").PublicKey.Challenge)
	stranger := w.browser()
	stranger.json(signIn, answer).is(stranger, 410)
	b.json(signIn, answer).is(b, 200, `"/organisation"`)
	b.get("/organisation").is(b, 200, "Ashgrove")
	b.json(signIn, answer).is(b, 410)
	for name, forge := range map[string]func(challenge string) string{
		"another challenge": func(string) string { return d.get(t, b64([]byte("0123456789abcdef0123456789abcdef"))) },
		"another site": func(c string) string {
			evil := *d
			evil.origin = "https://evil.example"
			return evil.get(t, c)
		},
		"another device": func(c string) string {
			other := newDevice(t, d.origin, d.rp)
			other.id, other.user = d.id, d.user
			return other.get(t, c)
		},
		"another account": func(c string) string {
			other := *d
			other.user = "nobody"
			return other.get(t, c)
		},
	} {
		e := w.browser()
		if a := e.json(signIn, forge(e.challenge("/sign-in/passkey/challenge").PublicKey.Challenge)); a.status != 403 || e.token() != "" {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	ada.post("/account/passkeys/"+b64(d.id)+"/delete", "current", goodPassword).goes(ada, "/account")
	e := w.browser()
	e.json(signIn, d.get(t, e.challenge("/sign-in/passkey/challenge").PublicKey.Challenge)).is(e, 403)
	plain := newTown(t) // by an IP address, there are none
	p := plain.browser()
	p.post("/sign-in/passkey/challenge").is(p, 404)
}
