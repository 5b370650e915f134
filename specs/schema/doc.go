// Package schema compiles the schemas of OpenAPI 3.0 and 3.1 documents into
// checkers that read JSON as bytes: the text is scanned once into a flat list
// of tokens, and the schema is walked over that list. Nothing is decoded, and
// checking a text that is right allocates nothing.
//
// All keywords of OpenAPI 3.0 and of JSON Schema 2020-12 are understood.
// Numbers are compared by their decimal digits, never as floats. Three
// choices go beyond the letter of the specifications:
//
//   - nullable counts in 3.1 too, next to $ref as well, because vendors write it so;
//   - format is asserted for the formats named in format.go, others are ignored;
//   - discriminator selects the one schema of oneOf or anyOf that is checked.
package schema
