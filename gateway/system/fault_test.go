package system

import (
	"slices"
	"strings"
	"testing"
)

func TestFaultWords(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"SOAP 1.1": {`<?xml version="1.0" encoding="ISO-8859-1"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header><code>not this</code></soapenv:Header><soapenv:Body><soapenv:Fault>
<faultcode>soapenv:Server.userException</faultcode><faultstring>SuiteTalk concurrent request limit exceeded. Request blocked.</faultstring>
<detail><ns1:exceededConcurrentRequestLimitFault xmlns:ns1="urn:faults"><ns1:code>WS_REQUEST_BLOCKED</ns1:code></ns1:exceededConcurrentRequestLimitFault><ns2:hostname>x</ns2:hostname></detail></soapenv:Fault><after>not this</after></soapenv:Body></soapenv:Envelope>`,
			"soapenv:Server.userException|SuiteTalk concurrent request limit exceeded. Request blocked.|exceededConcurrentRequestLimitFault|code|WS_REQUEST_BLOCKED|hostname|x"},
		"SOAP 1.2":         {"\ufeff <e:Envelope><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>m:Busy</e:Value></e:Subcode></e:Code><e:Reason><e:Text>Busy &amp; full</e:Text></e:Reason><e:Detail><m:Limit/></e:Detail></e:Fault></e:Body></e:Envelope>", "e:Sender|m:Busy|Busy & full|Limit"},
		"no detail":        {"<Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode></Fault>", "sf:REQUEST_LIMIT_EXCEEDED"},
		"no fault":         {"<Envelope><Body><Default>Faulty</Default></Body></Envelope>", ""},
		"broken":           {"<Fault><faultcode>A</faultcode><faultstring>B <br> &nope; C", "A|B|&nope; C"},
		"JSON":             {`{"Fault":"<Fault>"}`, ""},
		"empty":            {"", ""},
		"an outer element": {"<html><body>Fault</body></html>", ""},
	} {
		if got := strings.Join(faultWords([]byte(c.text)), "|"); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if n := len(faultWords([]byte("<Fault><detail>" + strings.Repeat("<a>b</a>", 1000)))); n > maxFaultWords+1 {
		t.Errorf("%d words", n)
	}
}

func FuzzFaultWords(f *testing.F) {
	f.Add("<Fault><faultcode>A</faultcode><detail><b>c</b></detail></Fault>")
	f.Add("<!DOCTYPE x [<!ENTITY y 'z'>]><Fault>&y;</Fault>")
	f.Fuzz(func(t *testing.T, text string) {
		words := faultWords([]byte(text))
		if len(words) > maxFaultWords || slices.Contains(words, "") {
			t.Fatalf("%q", words)
		}
	})
}
