package admin

// writes lets the write buffer answer, and tells it who asks.
func (a *admin) writes(k *call) error {
	a.options.Writes(k.by()).ServeHTTP(k.Response(), k.Request())
	return nil
}
