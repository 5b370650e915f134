package portal

// home is the first page.
func (p *Portal) home(c *call) error {
	return c.page("home", "", nil)
}
