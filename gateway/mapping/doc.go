// Package mapping holds the payload mappings of a workspace. A mapping is a jq
// program (https://jqlang.org/manual, as implemented by gojq) that stands
// either in a file mappings/NAME.jq or inline where it is used.
//
// # What a mapping sees
//
//	.         the JSON that is mapped: the request's body on the way to a
//	          system, its answer (or the result of a call) on the way back
//	$request  {method, path: {name: value}, query: {name: value, or a list of
//	          values}, headers: {lower-case name: value}, body}
//	$session  what the log-in at the system gave; null without one
//	$app      the name of the calling app; null when nobody was identified
//	$status   the status of the system's answer; null on the way to it
//	$headers  the headers of the system's answer, by lower-case name; null on
//	          the way to it
//
// now is the time at which the request arrived, so that a mapping gives the
// same whenever it is run for the same request. $name|todecimal turns a text
// into a number without losing a digit, which tonumber would.
//
// Numbers that a mapping passes through keep their digits: 0.10 stays 0.10 and
// 12345678901234567890 stays what it is. Arithmetic is done as in jq, with
// 64-bit floating point numbers beyond the integers.
//
// A mapping gives exactly one value. It has no access to the environment, to
// files, to other modules, or to the local time zone. Its time and the size of
// its output are bounded.
//
// # Tests
//
// The tests of mappings/NAME.jq stand in mappings/NAME_test.yaml:
//
//   - name: prices are Decimals
//     input: {price: 0.10}
//     want: {price: {__class__: Decimal, decimal: "0.10"}}
//   - name: an order needs lines
//     input: {lines: []}
//     error: at least one line
package mapping
