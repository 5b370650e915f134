package gateway

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

func TestParseSubject(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"CN=shop,O=Acme", "CN=shop,O=Acme"},
		{"cn=shop , o = Acme", "CN=shop,O=Acme"},
		{"2.5.4.3=shop,OID.2.5.4.10=Acme", "CN=shop,O=Acme"},
		{`CN=shop,O=Acme\, Inc.`, `CN=shop,O=Acme\, Inc.`},
		{`CN=shop,O=Acme\2C Inc.`, `CN=shop,O=Acme\, Inc.`},
		{`CN=caf\C3\A9`, "CN=café"},
		{"OU=b+CN=a", "CN=a+OU=b"},
		{"CN=a+OU=b,O=c", "CN=a+OU=b,O=c"},
		{`CN=\ a\ `, `CN=\ a\ `},
		{`CN=a=b`, `CN=a=b`},
		{`CN=\#a`, `CN=\#a`},
		{"CN=", "CN="},
		{"1.2.3.4=x", "1.2.3.4=x"},
	} {
		if got, err := ParseSubject(c.text); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.text, got, err)
		}
	}
	for _, text := range []string{"", "shop", "CN=a,", "CN=a,shop", `CN=a\`, `CN=a\q`, `CN=a\C3`, `CN="a"`, "CN=#0401", "=a", ",CN=a"} {
		if got, err := ParseSubject(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

func name(t *testing.T, sets ...[]pkix.AttributeTypeAndValue) *x509.Certificate {
	t.Helper()
	var names pkix.RDNSequence
	for _, set := range sets {
		names = append(names, set)
	}
	raw, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{RawSubject: raw}
}

func attribute(value string, id ...int) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: id, Value: value}
}

func TestSubjectOf(t *testing.T) {
	type set = []pkix.AttributeTypeAndValue
	domain := []int{0, 9, 2342, 19200300, 100, 1, 25}
	for _, c := range []struct {
		cert *x509.Certificate
		want string
	}{
		{name(t, set{attribute("DE", 2, 5, 4, 6)}, set{attribute("Acme, Inc.", 2, 5, 4, 10)}, set{attribute("shop", 2, 5, 4, 3)}), `CN=shop,O=Acme\, Inc.,C=DE`},
		{name(t, set{attribute("com", domain...)}, set{attribute("acme", domain...)}, set{attribute("x", 2, 5, 4, 3), attribute("u", 2, 5, 4, 11)}), "CN=x+OU=u,DC=acme,DC=com"},
		// One name that looks like two is written differently from the two.
		{name(t, set{attribute("shop,O=Acme", 2, 5, 4, 3)}), `CN=shop\,O=Acme`},
		{name(t, set{attribute("shop+OU=x", 2, 5, 4, 3)}), `CN=shop\+OU=x`},
		{name(t, set{attribute(" a\x00\n\\", 2, 5, 4, 3)}), `CN=\ a\00\0A\\`},
		{name(t), ""},
	} {
		got, err := SubjectOf(c.cert)
		if err != nil || got != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
		if c.want == "" {
			continue
		}
		if again, err := ParseSubject(got); err != nil || again != got {
			t.Errorf("%q is read as %q, %v", got, again, err)
		}
	}
	if _, err := SubjectOf(&x509.Certificate{RawSubject: []byte{0x30, 0x01}}); err == nil {
		t.Error("a broken subject is taken")
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add(`CN=shop,O=Acme\, Inc.+OU=a\20`)
	f.Fuzz(func(t *testing.T, text string) {
		once, err := ParseSubject(text)
		if err != nil {
			return
		}
		if again, err := ParseSubject(once); err != nil || again != once {
			t.Fatalf("%q became %q and then %q, %v", text, once, again, err)
		}
	})
}
