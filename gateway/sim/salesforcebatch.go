package sim

import (
	"net/http"
	"unicode/utf8"
)

// maxCollection is how many records a collection takes. Source: Salesforce, REST
// API Developer Guide, sObject Collections.
const maxCollection = 200

// collect makes records by a handler of one record, each by itself, or all or
// none of them. Each has its result, in the order of the records; that some
// failed does not make the call fail.
func collect(one func(s *Server, r *http.Request, rec record) answer) handler {
	return func(s *Server, r *http.Request, body map[string]any) answer {
		records, _ := body["records"].([]any)
		if len(records) == 0 {
			return salesforceError(http.StatusBadRequest, "INVALID_INPUT", "The records are missing.")
		}
		if len(records) > maxCollection {
			return salesforceError(http.StatusBadRequest, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call")
		}
		wrong := make([]record, len(records))
		failed := false
		for i, item := range records {
			wrong[i] = invalidRecord(item)
			failed = failed || wrong[i] != nil
		}
		allOrNone, _ := body["allOrNone"].(bool)
		results, done := make([]record, len(records)), 0
		for i, item := range records {
			switch {
			case wrong[i] != nil:
				results[i] = record{"success": false, "errors": []any{wrong[i]}}
			case failed && allOrNone:
				results[i] = record{"success": false, "errors": []any{record{
					"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": "Record rolled back because not all records were valid and the request was using AllOrNone header", "fields": []any{},
				}}}
			default:
				rec := copyOf(item.(map[string]any))
				delete(rec, "attributes")
				results[i], _ = one(s, r, rec).body.(record)
				done++
			}
		}
		s.report.Effects += max(0, done-1) // one is counted with the call
		return answer{status: http.StatusOK, body: results, idle: done == 0}
	}
}

// invalidRecord is what is wrong with a record; nil when nothing is.
func invalidRecord(item any) record {
	rec, _ := item.(map[string]any)
	attributes, _ := rec["attributes"].(map[string]any)
	if kind, _ := attributes["type"].(string); kind == "" {
		return record{"statusCode": "INVALID_TYPE", "message": "The type of the record is missing.", "fields": []any{}}
	}
	if len(rec) < 2 {
		return record{"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": []any{"Name"}}
	}
	for name, value := range rec {
		if text, ok := value.(string); ok && utf8.RuneCountInString(text) > 255 {
			return record{"statusCode": "STRING_TOO_LONG", "message": name + ": data value too large (max length=255)", "fields": []any{name}}
		}
	}
	return nil
}

func copyOf(m map[string]any) record {
	c := make(record, len(m))
	for name, value := range m {
		c[name] = value
	}
	return c
}

// createRecord makes one record of a collection.
func createRecord(s *Server, _ *http.Request, rec record) answer {
	return answer{body: record{"id": s.data.keep(rec)["id"], "success": true, "errors": []any{}}}
}

// upsertRecord makes or changes one record of a collection by its external id.
func upsertRecord(s *Server, r *http.Request, rec record) answer {
	value, _ := rec[r.PathValue("field")].(string)
	if value == "" {
		return answer{body: record{"success": false, "errors": []any{record{
			"statusCode": "MISSING_ARGUMENT", "message": r.PathValue("field") + " not specified", "fields": []any{},
		}}}}
	}
	r.SetPathValue("value", value)
	return upsertObject(s, r, rec)
}
