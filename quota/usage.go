package quota

// Ratio is the part of the limit that is used, 1 for all of it; 0 where there is no limit.
func (u Usage) Ratio() float64 {
	if u.Limit <= 0 {
		return 0
	}
	return u.Used / u.Limit
}
