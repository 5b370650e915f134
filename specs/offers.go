package specs

import "slices"

// Offers lists the media types that the operation's successful answers are
// declared with: of its 2xx responses, or else of its default response. It is
// nil where such an answer may be of any type, or have no content.
func (o *Operation) Offers() []string {
	if o.responses == nil {
		return nil
	}
	var list []string
	for _, resp := range o.responses.successful() {
		if len(resp.contents) == 0 {
			return nil
		}
		for _, one := range resp.contents {
			if one.media.breadth() > 0 {
				return nil
			}
			if name := one.media.String(); !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Success is the status of the operation's successful answers, where one alone is
// declared; 0 otherwise.
func (o *Operation) Success() int {
	if o.responses == nil {
		return 0
	}
	success := 0
	for status := range o.responses.exact {
		if status/100 != 2 {
			continue
		}
		if success != 0 {
			return 0
		}
		success = status
	}
	return success
}

func (rc *responseChecker) successful() []*response {
	var list []*response
	for status, resp := range rc.exact {
		if status/100 == 2 {
			list = append(list, resp)
		}
	}
	if resp := rc.ranges[2]; resp != nil {
		list = append(list, resp)
	}
	if list == nil && rc.other != nil {
		list = append(list, rc.other)
	}
	return list
}
