// Package countertest proves that a store keeps the contract of
// gateway.Counters. Conform runs on the wall clock and suits every store.
// Simulate plays scripts of hours and months under testing/synctest, against
// models that remember every call; it suits stores without a network.
package countertest
