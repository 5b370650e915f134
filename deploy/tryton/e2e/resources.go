package main

// What a consumer app knows of the APIs: the resources, field by field. A
// field that is not here makes a check fail, as a field that has vanished does.

type page[T any] struct {
	Items      []T  `json:"items"`
	Offset     int  `json:"offset"`
	Limit      int  `json:"limit"`
	NextOffset *int `json:"nextOffset"`
}

type product struct {
	ID   int    `json:"productId"`
	Code string `json:"code"`
	Name string `json:"name"`
	Unit struct {
		ID       int    `json:"unitId"`
		Symbol   string `json:"symbol"`
		Decimals int    `json:"decimals"`
	} `json:"unit"`
	ListPrice string `json:"listPrice"`
	Price     string `json:"price"`
	Taxes     []struct {
		ID   int    `json:"taxId"`
		Name string `json:"name"`
		Rate string `json:"rate"`
	} `json:"taxes"`
	UpdatedAt string `json:"updatedAt"`
}

type warehouse struct {
	ID   int    `json:"warehouseId"`
	Code string `json:"code"`
	Name string `json:"name"`
}

type availability struct {
	WarehouseID int     `json:"warehouseId"`
	Date        *string `json:"date"`
	Items       []struct {
		ProductID  int     `json:"productId"`
		Code       string  `json:"code"`
		UnitSymbol string  `json:"unitSymbol"`
		OnHand     float64 `json:"onHand"`
		Forecast   float64 `json:"forecast"`
	} `json:"items"`
}

type party struct {
	ID        int    `json:"partyId"`
	Code      string `json:"code"`
	Name      string `json:"name"`
	Addresses []struct {
		ID          int    `json:"addressId"`
		Street      string `json:"street"`
		PostalCode  string `json:"postalCode"`
		City        string `json:"city"`
		CountryCode string `json:"countryCode"`
		ForInvoices bool   `json:"forInvoices"`
		ForDelivery bool   `json:"forDelivery"`
	} `json:"addresses"`
	PaymentTerm struct {
		ID   int    `json:"paymentTermId"`
		Name string `json:"name"`
	} `json:"paymentTerm"`
	Credit struct {
		Limit *string `json:"limit"`
		Used  string  `json:"used"`
	} `json:"credit"`
}

type newSale struct {
	PartyID           int       `json:"partyId"`
	InvoiceAddressID  int       `json:"invoiceAddressId"`
	ShipmentAddressID int       `json:"shipmentAddressId"`
	WarehouseID       int       `json:"warehouseId"`
	PaymentTermID     int       `json:"paymentTermId,omitempty"`
	Reference         string    `json:"reference"`
	Comment           string    `json:"comment,omitempty"`
	Lines             []newLine `json:"lines"`
}

type newLine struct {
	ProductID int     `json:"productId"`
	UnitID    int     `json:"unitId"`
	Quantity  float64 `json:"quantity"`
	UnitPrice string  `json:"unitPrice"`
	TaxIDs    []int   `json:"taxIds"`
}

type saleHead struct {
	ID            int     `json:"saleId"`
	Number        *string `json:"number"`
	Reference     string  `json:"reference"`
	State         string  `json:"state"`
	ShipmentState string  `json:"shipmentState"`
	InvoiceState  string  `json:"invoiceState"`
	Date          *string `json:"date"`
	Party         struct {
		ID   int    `json:"partyId"`
		Code string `json:"code"`
		Name string `json:"name"`
	} `json:"party"`
	Currency      string `json:"currency"`
	UntaxedAmount string `json:"untaxedAmount"`
	TaxAmount     string `json:"taxAmount"`
	TotalAmount   string `json:"totalAmount"`
	CreatedAt     string `json:"createdAt"`
}

type sale struct {
	saleHead
	InvoiceAddressID  int `json:"invoiceAddressId"`
	ShipmentAddressID int `json:"shipmentAddressId"`
	Warehouse         struct {
		ID   int    `json:"warehouseId"`
		Code string `json:"code"`
	} `json:"warehouse"`
	Comment *string `json:"comment"`
	Lines   []struct {
		ID          int     `json:"lineId"`
		ProductID   int     `json:"productId"`
		ProductCode string  `json:"productCode"`
		UnitID      int     `json:"unitId"`
		UnitSymbol  string  `json:"unitSymbol"`
		Quantity    float64 `json:"quantity"`
		UnitPrice   string  `json:"unitPrice"`
		Amount      string  `json:"amount"`
		TaxIDs      []int   `json:"taxIds"`
	} `json:"lines"`
	ShipmentIDs []int `json:"shipmentIds"`
	InvoiceIDs  []int `json:"invoiceIds"`
}

type invoiceHead struct {
	ID      int     `json:"invoiceId"`
	Type    string  `json:"type"`
	Number  *string `json:"number"`
	State   string  `json:"state"`
	Date    *string `json:"date"`
	DueDate *string `json:"dueDate"`
	Party   struct {
		ID   int    `json:"partyId"`
		Code string `json:"code"`
	} `json:"party"`
	Currency      string `json:"currency"`
	UntaxedAmount string `json:"untaxedAmount"`
	TaxAmount     string `json:"taxAmount"`
	TotalAmount   string `json:"totalAmount"`
	AmountToPay   string `json:"amountToPay"`
	SaleIDs       []int  `json:"saleIds"`
}

type invoice struct {
	invoiceHead
	Lines []struct {
		ProductCode string  `json:"productCode"`
		Description *string `json:"description"`
		Quantity    float64 `json:"quantity"`
		UnitPrice   string  `json:"unitPrice"`
		Amount      string  `json:"amount"`
	} `json:"lines"`
}
