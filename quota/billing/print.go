package billing

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"riptide-proxy/quota/ledger"
)

// Write writes bills in a format.
func Write(out io.Writer, f ledger.Format, bills []*Bill) error {
	switch f {
	case ledger.CSV:
		return writeCSV(out, bills)
	case ledger.JSON:
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(bills)
	}
	return writeTable(out, bills)
}

// writeCSV writes a record for each item, and one with the unit "total" for each bill.
func writeCSV(out io.Writer, bills []*Bill) error {
	all := make([]map[string]string, len(bills))
	for i, b := range bills {
		all[i] = b.Tags
	}
	tags := ledger.TagNames(all)
	w := csv.NewWriter(out)
	header := []string{"tenant", "from", "to", "final", "plan", "unit", "used", "included", "billed", "price", "amount", "currency"}
	for _, tag := range tags {
		header = append(header, "tag_"+tag)
	}
	w.Write(header) // an error stays, for w.Error
	for _, b := range bills {
		record := func(i Item) {
			r := []string{
				b.Tenant, b.From.Format(time.RFC3339), b.To.Format(time.RFC3339), strconv.FormatBool(b.Final), ledger.Cell(i.Plan), i.Unit,
				string(i.Used), string(i.Included), string(i.Billed), i.Price, string(i.Amount), b.Currency,
			}
			for _, tag := range tags {
				r = append(r, ledger.Cell(b.Tags[tag]))
			}
			w.Write(r)
		}
		for _, i := range b.Items {
			record(i)
		}
		record(Item{Unit: "total", Amount: b.Total})
	}
	w.Flush()
	return w.Error()
}

func writeTable(out io.Writer, bills []*Bill) error {
	for i, b := range bills {
		if i > 0 {
			fmt.Fprintln(out)
		}
		state := "preliminary"
		if b.Final {
			state = "final"
		}
		fmt.Fprintf(out, "%s, %s to %s, %s\n", b.Tenant, b.From.Format(time.RFC3339), b.To.Format(time.RFC3339), state)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "PLAN\tUNIT\tUSED\tINCLUDED\tBILLED\tPRICE\tAMOUNT\t")
		for _, i := range b.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", i.Plan, i.Unit, i.Used, i.Included, i.Billed, i.Price, i.Amount)
		}
		fmt.Fprintf(w, "\ttotal\t\t\t\t%s\t%s\t\n", b.Currency, b.Total)
		if err := w.Flush(); err != nil {
			return err
		}
		if len(b.Unpriced) > 0 {
			fmt.Fprintf(out, "no prices are known of: %s\n", strings.Join(b.Unpriced, ", "))
		}
	}
	return nil
}
