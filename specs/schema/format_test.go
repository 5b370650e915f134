package schema

import (
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct{ good, bad []string }{
		"date":          {[]string{"2026-01-31", "2024-02-29", "2000-02-29"}, []string{"2026-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-1-1", "2026/01/01", "2026-01-32", "2026-01-00", ""}},
		"time":          {[]string{"12:00:00Z", "23:59:60Z", "00:59:60+01:00", "12:00:00.123+05:30", "12:00:00z"}, []string{"12:00:00", "24:00:00Z", "12:60:00Z", "12:00:61Z", "12:00:60Z", "12:00:00.Z", "12:00:00+24:00", "12:00:00+0100", "1:00:00Z"}},
		"date-time":     {[]string{"2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5-03:00"}, []string{"2026-01-31 12:00:00Z", "2026-02-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31", "2026-01-31T"}},
		"duration":      {[]string{"P1D", "PT36H", "P1Y2M3DT4H5M6S", "P2W", "P0D"}, []string{"P", "PT", "1D", "P1", "P1H", "PT1D", "P1D2W", "P1M1Y", "P1Y1D", "P1W1D", "P1WT1H", "P-1D", "P1.5D", "P1DT"}},
		"email":         {[]string{"a@b.example", "a.b+c@x-y.example", `"a b"@x.example`, "a@[10.0.0.1]", "a@[IPv6:::1]", "ä@x.example"}, []string{"a", "@x.example", "a@", "a@b@c", ".a@x.example", "a..b@x.example", "a b@x.example", "a@-x.example", "a@[1.2.3]", `"a"b"@x.example`, `"a\"@x.example`}},
		"uuid":          {[]string{"123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"}, []string{"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g", "{123e4567-e89b-12d3-a456-42661417400}"}},
		"uri":           {[]string{"https://a.example/b?c=d#e", "urn:isbn:123", "http://[::1]:8080/", "mailto:a@b.example", "http://a%20b/%C3%A9", "http://u:p@h:1"}, []string{"/a", "a b:c", "http://a b", "http://[::1", "http://h:port", "1http://x", "http://h/%zz", "http://é", "http://[::1]x", "x:a#b#c"}},
		"uri-reference": {[]string{"/a", "", "a/b", "?q", "#f", "//h/p", "https://x"}, []string{"1:2/3", "\\a", "a b", "#a b"}},
		"hostname":      {[]string{"a", "a-b.example", "1.example", strings.Repeat("a", 63)}, []string{"", "-a", "a-", "a..b", "a_b", ".a", "a.", "a-.b", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "aa"}},
		"ipv4":          {[]string{"0.0.0.0", "255.255.255.255"}, []string{"256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", "", "1.2.3.4 "}},
		"ipv6":          {[]string{"::", "::1", "2001:db8::1", "::ffff:10.0.0.1"}, []string{"10.0.0.1", "fe80::1%eth0", "1::2::3", ":", "12345::"}},
		"byte":          {[]string{"", "YQ==", "YWI=", "YWJj", "YQ", "_-8"}, []string{"Y", "YQ=", "Y===", "Y Q=", "YQ==YQ=="}},
	} {
		f := formatOf(name)
		for want, list := range map[bool][]string{true: c.good, false: c.bad} {
			for _, text := range list {
				if f.valid([]byte(text)) != want {
					t.Errorf("%s: %q", name, text)
				}
			}
		}
	}
}

func TestNumberFormats(t *testing.T) {
	for name, c := range map[string]struct{ good, bad []string }{
		"int32":  {[]string{"2147483647", "-2147483648", "1.0", "1e3"}, []string{"2147483648", "-2147483649", "1.5"}},
		"int64":  {[]string{"9223372036854775807", "-9223372036854775808"}, []string{"9223372036854775808", "-9223372036854775809", "1e19"}},
		"float":  {[]string{"3.4e38", "1e-60"}, []string{"3.5e38", "-1e39"}},
		"double": {[]string{"1.7e308", "0.1"}, []string{"1.8e308", "-1e309"}},
	} {
		f := numberFormatOf(name)
		for want, list := range map[bool][]string{true: c.good, false: c.bad} {
			for _, text := range list {
				if d := parseDecimal([]byte(text)); f.holds(&d) != want {
					t.Errorf("%s: %s", name, text)
				}
			}
		}
	}
	if formatOf("int32") != nil || numberFormatOf("date") != nil || formatOf("password") != nil {
		t.Error("a format applies to the wrong type")
	}
}
