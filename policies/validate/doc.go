// Package validate checks calls and answers against the API's document.
//
//	x-headrace:
//	  policies:
//	    validate: {request: enforce, response: report, query: strict}
//
// It is on by default with request: enforce; validate: off removes it.
//
// request: enforce refuses a call that does not keep to the document, naming
// every fault with its place: 400 invalid-request for parameters and syntax,
// 415 unsupported-media-type, 422 invalid-body for the content of the body, and
// 406 not-acceptable when the caller's Accept allows none of the media types
// that the operation's successful answers declare. report lets it pass and
// writes the faults into the record of the exchange. off does not look.
//
// query: lenient (default) tolerates query parameters that the document does
// not declare; strict refuses them.
//
// response: report checks the system's answers and writes faults into the
// record; enforce answers 502 invalid-response instead, and the caller never
// sees the faulty answer; off (default) does not look, because reading answers
// costs memory and time, and an answer that is slightly wrong is often better
// than none. Switch report on before enforce. Answers whose body the document
// does not describe stay streams. An answer that is longer than max_response,
// or compressed, cannot be checked: a fault in report mode, refused by enforce.
// While answers are checked, the system is asked not to compress them.
package validate
