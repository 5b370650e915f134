package validate

import (
	"strconv"
	"strings"
)

// offers are the media types of an operation's successful answers, in small
// letters and without parameters. Without any, every Accept is met.
type offers []string

func mediaType(text string) string {
	text, _, _ = strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(text))
}

// meet tells whether one of the offers is acceptable by RFC 9110, section
// 12.5.1: the most specific range that matches it has a weight above zero.
// Parameters of ranges are not looked at.
func (o offers) meet(accept []string) bool {
	if len(o) == 0 || len(accept) == 0 || len(accept) == 1 && (accept[0] == "*/*" || accept[0] == o[0]) {
		return true
	}
	for _, offer := range o {
		if weigh(offer, accept) {
			return true
		}
	}
	return false
}

func weigh(offer string, accept []string) bool {
	kind, _, _ := strings.Cut(offer, "/")
	best, ok, ranges := 0, false, 0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			name := mediaType(item)
			specific := 0
			switch {
			case name == "":
				continue
			case name == offer:
				specific = 3
			case strings.TrimSuffix(name, "/*") == kind:
				specific = 2
			case name == "*/*" || name == "*":
				specific = 1
			}
			ranges++
			if specific > best {
				best, ok = specific, !refused(item)
			}
		}
	}
	return ok || ranges == 0
}

// refused tells whether a range has the weight zero.
func refused(item string) bool {
	for i, parameter := range strings.Split(item, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if i > 0 && strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && q <= 0
		}
	}
	return false
}
