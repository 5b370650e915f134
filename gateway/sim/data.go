package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// record is a record of a system, in the system's own words.
type record = map[string]any

// data is what a distributor's systems know: the same world in all of them.
type data struct {
	items, vendors, customers, orders, invoices []record
	stock, shipments, accounts, salesOrders     []record
	activities                                  []record
	// placed is what callers have left, the newest last.
	placed []record
	next   int
}

// today anchors the dates of the data, so that they are the same in every run.
var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func day(offset int) string { return today.AddDate(0, 0, offset).Format(time.DateOnly) }

var (
	itemWords     = []string{"Gate valve", "Ball valve", "Check valve", "Impeller", "Pump housing", "Shaft seal", "Bearing set", "Pressure gauge", "Strainer", "Coupling"}
	itemSizes     = []string{"DN15", "DN25", "DN40", "DN50", "DN80"}
	vendorNames   = []string{"Aldermoor Castings", "Brightwell Seals", "Corvane Bearings", "Dunmere Foundry", "Eastlock Valves", "Fenwick Gauges", "Galdor Pumps", "Harrow Couplings", "Ironmere Tools", "Juniper Packaging", "Kestrel Freight", "Lowmarsh Coatings"}
	customerNames = []string{"Ashgrove Waterworks", "Birchfield Farms", "Calder Breweries", "Dalehead Quarries", "Elmstead Laundry", "Foxglove Nurseries", "Glenmoor Hotels", "Hartwell Hospitals", "Ivybridge Foods", "Jarrow Shipyards", "Kelder Mills", "Larchmont Pools", "Millbrook Dairy", "Northgate Schools", "Oakham Textiles", "Pinewood Resorts", "Quayside Marina", "Redcliff Chemicals", "Silverdale Foundry", "Thornbury Council"}
	cities        = []string{"Lockton", "Millrace", "Quay", "Weirbridge", "Sluiceford"}
	carriers      = []string{"Kestrel Freight", "Northline Parcel", "Canal Cargo"}
)

func seed(r *rand.Rand) *data {
	d := &data{next: 5000}
	for i := range 50 {
		d.items = append(d.items, record{
			"id": fmt.Sprint(100 + i), "itemId": fmt.Sprintf("SKU-%04d", i+1), "externalId": fmt.Sprintf("SKU-%04d", i+1),
			"displayName": itemWords[i%10] + " " + itemSizes[i/10], "basePrice": float64(900+r.IntN(30000)) / 100,
			"isInactive": i == 49, "stockUnit": record{"refName": "Each"},
			"preferredVendor":  record{"id": fmt.Sprint(300 + i%12), "refName": vendorNames[i%12]},
			"lastModifiedDate": day(-r.IntN(90)) + "T08:00:00Z",
		})
		for _, warehouse := range []string{"EAST", "WEST"} {
			onHand, allocated := 20+r.IntN(400), r.IntN(20)
			d.stock = append(d.stock, record{
				"sku": fmt.Sprintf("SKU-%04d", i+1), "warehouse": warehouse, "onHand": onHand, "allocated": allocated,
				"available": onHand - allocated, "updatedAt": day(-r.IntN(3)) + "T06:30:00Z",
			})
		}
	}
	for i, name := range vendorNames {
		d.vendors = append(d.vendors, record{
			"id": fmt.Sprint(300 + i), "entityId": fmt.Sprintf("V%04d", i+1), "companyName": name,
			"email": fmt.Sprintf("orders@vendor%02d.example", i+1), "terms": record{"refName": "Net 30"},
			"currency": record{"refName": "EUR"}, "isInactive": false, "leadTimeDays": 3 + r.IntN(20),
		})
	}
	for i, name := range customerNames {
		id := fmt.Sprint(200 + i)
		d.customers = append(d.customers, record{
			"id": id, "entityId": fmt.Sprintf("C%04d", i+1), "companyName": name, "creditLimit": 10000 + 5000*r.IntN(10),
			"balance": float64(r.IntN(900000)) / 100, "terms": record{"refName": "Net 30"}, "currency": record{"refName": "EUR"},
		})
		d.accounts = append(d.accounts, record{
			"accountid": fmt.Sprintf("a0000000-0000-4000-8000-%012d", i+1), "accountnumber": fmt.Sprintf("C%04d", i+1), "name": name,
			"address1_city": cities[i%5], "telephone1": fmt.Sprintf("+44 1632 960%03d", i+1), "revenue": 100000 * (1 + r.IntN(90)),
			"statecode": 0, "modifiedon": day(-r.IntN(60)) + "T09:15:00Z",
		})
	}
	for i := range 30 {
		d.addSeedOrder(r, i)
	}
	return d
}

// addSeedOrder makes an order with its invoice and shipment, as old as its number.
func (d *data) addSeedOrder(r *rand.Rand, i int) {
	c := d.customers[i%20]
	var lines []any
	total := 0.0
	for n := range 1 + r.IntN(4) {
		item := d.items[r.IntN(49)]
		quantity := 1 + r.IntN(20)
		price := item["basePrice"].(float64)
		total += price * float64(quantity)
		lines = append(lines, record{
			"line": n + 1, "item": record{"id": item["id"], "refName": item["itemId"]},
			"quantity": quantity, "rate": price, "amount": cents(price * float64(quantity)),
		})
	}
	id, age := fmt.Sprint(1000+i), 60-2*i
	status := [...]string{"billed", "pendingBilling", "pendingFulfillment"}[min(2, i/10)]
	order := record{
		"id": id, "tranId": "SO" + id, "externalId": "WEB-" + id, "entity": record{"id": c["id"], "refName": c["companyName"]},
		"tranDate": day(-age), "status": record{"id": status, "refName": status}, "currency": record{"refName": "EUR"},
		"total": cents(total), "memo": "", "item": record{"items": lines},
	}
	d.orders = append(d.orders, order)
	d.salesOrders = append(d.salesOrders, salesOrder(i, "SO"+id, fmt.Sprintf("Order of %s", c["companyName"]), total))
	if i < 20 {
		paid := i < 10
		remaining := cents(total)
		if paid {
			remaining = 0
		}
		d.invoices = append(d.invoices, record{
			"id": fmt.Sprint(2000 + i), "tranId": fmt.Sprintf("INV%d", 2000+i), "entity": order["entity"], "createdFrom": record{"id": id, "refName": "Sales Order #SO" + id},
			"tranDate": day(1 - age), "dueDate": day(31 - age), "currency": record{"refName": "EUR"}, "total": cents(total), "amountRemaining": remaining,
			"status": record{"refName": map[bool]string{true: "Paid In Full", false: "Open"}[paid]},
		})
		d.shipments = append(d.shipments, record{
			"id": fmt.Sprintf("SH-%d", 3000+i), "orderRef": "SO" + id, "carrier": carriers[i%3], "status": map[bool]string{true: "delivered", false: "in-transit"}[paid],
			"from": "EAST", "to": record{"name": c["companyName"], "city": cities[i%5]}, "plannedOn": day(2 - age), "trackingNumber": fmt.Sprintf("TRK%08d", 70000+i),
			"milestones": []any{
				record{"code": "PLANNED", "at": day(1-age) + "T10:00:00Z"},
				record{"code": "PICKED_UP", "at": day(2-age) + "T07:30:00Z"},
			},
		})
	}
}

func cents(amount float64) float64 { return float64(int64(amount*100+0.5)) / 100 }

// id makes the next identifier.
func (d *data) id() string {
	d.next++
	return fmt.Sprint(d.next)
}

func find(records []record, key, value string) record {
	for _, r := range records {
		if r[key] == value {
			return r
		}
	}
	return nil
}
