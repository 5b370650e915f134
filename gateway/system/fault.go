package system

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

// maxFaultWords bounds what is looked at of a fault.
const maxFaultWords = 64

// faultWords gives what a SOAP fault says: the texts of its code and reason,
// and of its detail the names and texts of all elements, names without prefix.
// It knows SOAP 1.1 (section 4.4) and 1.2 (part 1, section 5.4), and gives nil
// when the text holds no fault. What cannot be read ends it early.
func faultWords(text []byte) []string {
	if trimmed := bytes.TrimLeft(text, "\ufeff \t\r\n"); len(trimmed) == 0 || trimmed[0] != '<' || !bytes.Contains(text, []byte("Fault")) {
		return nil
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = false
	// Codes and names are ASCII; the rest may be spoilt.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var words []string
	depth, fault, detail := 0, 0, 0 // depth, and where the fault and its detail began
	for len(words) < maxFaultWords {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			switch name := t.Name.Local; {
			case fault == 0:
				if name == "Fault" {
					fault = depth
				}
			case detail > 0:
				words = append(words, name)
			case strings.EqualFold(name, "detail"):
				detail = depth
			}
		case xml.EndElement:
			if depth == fault {
				return words
			}
			if depth == detail {
				detail = 0
			}
			depth--
		case xml.CharData:
			if word := strings.TrimSpace(string(t)); word != "" && fault > 0 {
				words = append(words, word)
			}
		}
	}
	return words
}
