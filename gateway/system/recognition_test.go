package system

import (
	"testing"
	"time"
)

// What the operation says comes first; the profile speaks where it is silent,
// of calls that its vendor has written about.
func TestRecognition(t *testing.T) {
	const xero, netsuite, salesforce = "profile: xero\n", "profile: netsuite\nfacts: {account_type: production, tier: premium}\n", "profile: salesforce\nfacts: {edition: enterprise, licences: 10}\n"
	key := "orders/v1/x"
	for name, c := range map[string]struct {
		system, method, path, headrace string
		want                           Recognition
	}{
		"nothing is known":         {"", "POST", "/x", "", Recognition{Class: "none"}},
		"the profile knows":        {xero, "POST", "/Invoices", "", Recognition{Class: "header", Header: "Idempotency-Key", TTL: 6 * time.Minute, Profile: "xero"}},
		"the key alone":            {xero, "POST", "/Invoices", "idempotency: {key: required}", Recognition{Class: "header", Header: "Idempotency-Key", TTL: 6 * time.Minute, Profile: "xero"}},
		"the operation says none":  {xero, "POST", "/Invoices", "idempotency: {class: none}", Recognition{Class: "none"}},
		"it names the header":      {xero, "POST", "/Invoices", "idempotency: {class: header, header: idempotency-key}", Recognition{Class: "header", Header: "idempotency-key", TTL: 6 * time.Minute}},
		"and the time":             {xero, "POST", "/Invoices", "idempotency: {class: header, header: Idempotency-Key, ttl: 1m}", Recognition{Class: "header", Header: "Idempotency-Key", TTL: time.Minute}},
		"and another header":       {xero, "POST", "/Invoices", "idempotency: {class: header, header: X-Once}", Recognition{Class: "header", Header: "X-Once"}},
		"the record has the key":   {netsuite, "PUT", "/services/rest/record/v1/salesOrder/eid:{id}", "", Recognition{Class: "natural-key", Profile: "netsuite"}},
		"another call":             {netsuite, "PUT", "/services/rest/record/v1/salesOrder/{id}", "", Recognition{Class: "none"}},
		"only others tell":         {salesforce, "PATCH", "/services/data/v60.0/sobjects/Account/External__c/{id}", "", Recognition{Class: "none"}},
		"the dialect has no place": {"profile: xero\ndialect: jsonrpc\noverload: []\n", "POST", "/x", "call: {method: m}", Recognition{Class: "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := Open(Options{})
			set, _, ps := build(f, plan{system: c.system, paths: at(c.method, c.path, "x", c.headrace)}, "http://127.0.0.1:1")
			defer set.Close()
			if err := ps.Err(); err != nil {
				t.Fatal(err)
			}
			c.want.Operation = key
			if got := set.Recognition(key); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if all := set.Recognitions(); len(all) != 1 || all[0] != c.want {
				t.Errorf("listed %+v", all)
			}
		})
	}
	f := Open(Options{})
	set, _, _ := build(f, plan{system: xero, paths: at("GET", "/x", "x", "")}, "http://127.0.0.1:1")
	defer set.Close()
	if all := set.Recognitions(); len(all) != 0 {
		t.Errorf("a read is listed: %+v", all)
	}
	if got := set.Recognition("orders/v1/y"); got.Class != "none" {
		t.Errorf("%+v", got)
	}
}

// A header without a class would do nothing.
func TestHeaderWithoutClass(t *testing.T) {
	got := problems(t, plan{paths: at("POST", "/x", "x", "idempotency: {header: X-Once}")})
	if want := "apis/orders/1.0.0/openapi.yaml:9:31: paths[\"/x\"].post.x-headrace.idempotency.header: header has no effect without class: header; write class: header, or remove it"; got != want {
		t.Errorf("got %s", got)
	}
}
