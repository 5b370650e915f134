package sim

import (
	"net/http"
	"time"
)

// crm builds the customer relations: 10 calls at once.
func crm(s *Server, o Options) {
	s.limits = someAtOnce(orElse(o.Concurrency, 10))
	s.fresh = func() {
		accounts := []record{}
		for _, a := range s.data.accounts {
			accounts = append(accounts, record{"number": a["accountnumber"], "name": a["name"], "city": a["address1_city"], "phone": a["telephone1"], "status": "active"})
		}
		s.data.accounts = accounts
	}
	s.handle("GET /accounts", listPlain(&s.data.accounts, "number", "name", "city", "status"))
	s.handle("POST /accounts", createCRMAccount)
	s.handle("GET /accounts/{number}", withAccount(func(_ *Server, a record, _ map[string]any) answer {
		return answer{status: http.StatusOK, body: a}
	}))
	s.handle("PATCH /accounts/{number}", withAccount(patchCRMAccount))
	s.handle("GET /activities", listPlain(&s.data.activities, "account", "type"))
	s.handle("POST /accounts/{number}/activities", withAccount(addActivity))
}

// withAccount finds the account of a path first.
func withAccount(work func(s *Server, account record, body map[string]any) answer) handler {
	return func(s *Server, r *http.Request, body map[string]any) answer {
		if a := find(s.data.accounts, "number", r.PathValue("number")); a != nil {
			return work(s, a, body)
		}
		return plain(http.StatusNotFound, "no such account")
	}
}

func createCRMAccount(s *Server, _ *http.Request, body map[string]any) answer {
	name, _ := body["name"].(string)
	number, _ := body["number"].(string)
	switch {
	case name == "":
		return plain(http.StatusBadRequest, "name is missing")
	case number != "" && find(s.data.accounts, "number", number) != nil:
		return plain(http.StatusConflict, "there is an account "+number)
	case len(s.data.accounts) >= maxOrders:
		return plain(http.StatusInsufficientStorage, "the simulator holds no more accounts; reset it")
	case number == "":
		number = "C" + s.data.id()
	}
	a := record{"number": number, "name": name, "city": body["city"], "phone": body["phone"], "status": "active"}
	s.data.accounts = append(s.data.accounts, a)
	return answer{status: http.StatusCreated, header: http.Header{"Location": {"/accounts/" + number}}, body: a}
}

func patchCRMAccount(_ *Server, a record, body map[string]any) answer {
	for _, name := range []string{"name", "city", "phone", "status"} {
		if v, ok := body[name].(string); ok {
			a[name] = v
		}
	}
	return answer{status: http.StatusOK, body: a}
}

func addActivity(s *Server, a record, body map[string]any) answer {
	kind, _ := body["type"].(string)
	subject, _ := body["subject"].(string)
	switch {
	case kind == "" || subject == "":
		return plain(http.StatusBadRequest, "type and subject are missing")
	case len(s.data.activities) >= maxOrders:
		return plain(http.StatusInsufficientStorage, "the simulator holds no more activities; reset it")
	}
	rec := record{"id": s.data.id(), "account": a["number"], "type": kind, "subject": subject, "at": time.Now().UTC().Format(time.RFC3339)}
	s.data.activities = append(s.data.activities, rec)
	return answer{status: http.StatusCreated, body: rec}
}
