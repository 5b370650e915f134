package lint

// writeRules are about what changes something in the ERP.
func writeRules() []Rule {
	const head = "paths:\n  /orders:\n    post:\n      operationId: createOrder\n"
	const tail = "      requestBody: {content: {application/json: {schema: {type: object, properties: {orderId: {type: string}}}}}}\n      responses:\n        '201': {description: Created.}\n"
	return []Rule{
		{
			Name: "write-idempotency", Severity: Error,
			Summary: "Every write says how a second sending is recognised.",
			Why:     "Answers get lost. Without idempotency a lost answer becomes a second order, or needs a person.",
			Bad:     head + tail,
			Good:    head + "      x-headrace: {idempotency: {key: required, class: header, header: X-Request-Key}}\n" + tail,
			check: func(p *pass) {
				for _, o := range p.operations() {
					if o.writes() && o.governed.Governance.Idempotency == nil {
						p.add(o.Origin, o.name, "nothing says how a second sending is recognised", "add x-headrace.idempotency; class header, natural-key, confirm or none")
					}
				}
			},
		},
		{
			Name: "write-doubt", Severity: Warning,
			Summary: "A write whose answer is lost can be cleared up without a person.",
			Why:     "With class none every lost answer is a dead letter that somebody has to look into.",
			Bad:     head + "      x-headrace: {idempotency: {class: none}}\n" + tail,
			Good:    head + "      x-headrace: {idempotency: {class: natural-key}}\n" + tail,
			check: func(p *pass) {
				for _, o := range p.operations() {
					if i := o.governed.Governance.Idempotency; o.writes() && i != nil && i.Class == "none" {
						p.addAt(o.governed.Governance.At("idempotency").Position(), o.name, "a lost answer needs a person", "class header, natural-key or confirm, where the system has it")
					}
				}
			},
		},
		{
			Name: "write-lane", Severity: Error,
			Summary: "Every write names its lane: the business key whose writes keep their order.",
			Why:     "Without a lane, the change of an order can reach the ERP before the order.",
			Bad:     head + tail,
			Good:    head + "      x-headrace: {lane: $request.body#/orderId}\n" + tail,
			check: func(p *pass) {
				for _, o := range p.operations() {
					if g := o.governed.Governance; o.writes() && len(g.Lane) == 0 && !g.Says("lane") {
						p.add(o.Origin, o.name, "the write stands in no lane", "add x-headrace.lane, for example $request.body#/orderId; [] where order does not matter")
					}
				}
			},
		},
		{
			Name: "write-accepted", Severity: Warning,
			Summary: "Every write describes the answer 202.",
			Why:     "Under load a write is held, and the caller gets 202 with the address of its status. A client that was not told treats it as a failure.",
			Bad:     head + tail,
			Good:    head + tail + "        '202': {description: Held; Location leads to its status.}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					if o.writes() && o.Responses.Value("202") == nil && o.Responses.Value("2XX") == nil {
						p.add(o.Origin, o.name, "the answer 202 is not described", "describe it; Location leads to the status of the write")
					}
				}
			},
		},
		{
			Name: "write-body", Severity: Error,
			Summary: "The body of a write has a schema.",
			Why:     "What cannot be checked before it is accepted is refused by the ERP after it was acknowledged.",
			Bad:     "paths:\n  /orders:\n    post:\n      operationId: createOrder\n      requestBody: {content: {application/json: {}}}\n      responses: {'201': {description: Created.}}\n",
			Good:    head + tail,
			check: func(p *pass) {
				for _, o := range p.operations() {
					if b := o.RequestBody; o.writes() && b != nil && b.Value != nil {
						for name, media := range b.Value.Content {
							if isJSON(name) && (media == nil || media.Schema == nil) {
								p.add(o.Origin, o.name, "the body has no schema", "describe it")
							}
						}
					}
				}
			},
		},
	}
}
