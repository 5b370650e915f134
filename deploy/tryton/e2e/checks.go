package main

import (
	"errors"
	"fmt"
	"strings"
)

// checks is the list of what was tried, printed as it grows.
type checks struct {
	passed, failed int
	figures        []string
}

// title begins a part of the list.
func (c *checks) title(text string) { fmt.Printf("\n%s\n", text) }

// that notes one check: passed when err is nil. It tells whether it passed.
func (c *checks) that(name string, err error) bool {
	if err != nil {
		c.failed++
		fmt.Printf("  FAIL  %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\n        "))
		return false
	}
	c.passed++
	fmt.Printf("  ok    %s\n", name)
	return true
}

// figure notes a measured value. The figures are printed at the end, in the
// form that other programs read.
func (c *checks) figure(name string, value any, unit string) {
	fmt.Printf("        %s: %v %s\n", name, value, unit)
	c.figures = append(c.figures, fmt.Sprintf("figure: %s %v %s", name, value, unit))
}

// summary prints the figures.
func (c *checks) summary() {
	fmt.Println()
	for _, line := range c.figures {
		fmt.Println(line)
	}
	fmt.Printf("figure: tryton-checks-passed %d checks\nfigure: tryton-checks-failed %d checks\n", c.passed, c.failed)
}

// same compares what was got with what was wanted.
func same[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, should be %v", what, got, want)
	}
	return nil
}

// truth is an error with this text unless ok.
func truth(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// all joins the errors of several comparisons into one.
func all(errs ...error) error { return errors.Join(errs...) }
