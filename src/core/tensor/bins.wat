;; What calibration does to every value of an activation, four at a time. Values stand in memory at byte offsets; their number is a
;; multiple of four. `npm run wasm` writes it into bins-wasm.ts.
(module
  ;; Tables of counts, then room for values.
  (memory (export "memory") 4)

  ;; The largest bits of a value, and of a value with its sign turned over, or 0, to $found: see extremesOf in bins.ts.
  (func (export "extremes") (param $values i32) (param $count i32) (param $found i32)
    (local $end i32) (local $x v128) (local $highest v128) (local $lowest v128)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $x (v128.load (local.get $values)))
        (local.set $highest (i32x4.max_s (local.get $highest) (local.get $x)))
        (local.set $lowest (i32x4.max_s (local.get $lowest)
          (v128.xor (local.get $x) (i32x4.splat (i32.const 0x80000000)))))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (br $next)))
    (i32.store (local.get $found) (call $largestLane (local.get $highest)))
    (i32.store offset=4 (local.get $found) (call $largestLane (local.get $lowest))))

  (func $largestLane (param $x v128) (result i32)
    (local.set $x (i32x4.max_s (local.get $x)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $x) (local.get $x))))
    (local.set $x (i32x4.max_s (local.get $x)
      (i8x16.shuffle 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 (local.get $x) (local.get $x))))
    (i32x4.extract_lane 0 (local.get $x)))

  ;; Counts floor(value * $quarters / 4) + $bins / 2, modulo $bins, a power of two, for values at even places into the table at 0
  ;; and for others into the one behind it: neighbours are often of one bin, and would wait for each other's count.
  (func (export "count") (param $values i32) (param $count i32) (param $quarters f64) (param $bins i32)
    (local $end i32) (local $mask i32) (local $odd i32) (local $place i32) (local $x v128)
    (local $scale v128) (local $middle v128)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $odd (i32.shl (local.get $bins) (i32.const 2)))
    (local.set $mask (i32.sub (local.get $odd) (i32.const 4)))
    (local.set $scale (f64x2.splat (local.get $quarters)))
    ;; Adding 1.5 * 2^52 leaves an integer in the lowest bits: here the byte offset of a counter, but for two bits of its place in it.
    (local.set $middle (f64x2.splat (f64.add
      (f64.const 6755399441055744)
      (f64.convert_i32_u (i32.shl (local.get $bins) (i32.const 1))))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $x (f64x2.add (local.get $middle) (f64x2.floor (f64x2.mul (local.get $scale)
          (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $values)))))))
        (local.set $place (i32.and (i32x4.extract_lane 0 (local.get $x)) (local.get $mask)))
        (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (i32.const 1)))
        (local.set $place (i32.add (i32.and (i32x4.extract_lane 2 (local.get $x)) (local.get $mask)) (local.get $odd)))
        (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (i32.const 1)))
        (local.set $x (f64x2.add (local.get $middle) (f64x2.floor (f64x2.mul (local.get $scale)
          (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $values)))))))
        (local.set $place (i32.and (i32x4.extract_lane 0 (local.get $x)) (local.get $mask)))
        (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (i32.const 1)))
        (local.set $place (i32.add (i32.and (i32x4.extract_lane 2 (local.get $x)) (local.get $mask)) (local.get $odd)))
        (i32.store (local.get $place) (i32.add (i32.load (local.get $place)) (i32.const 1)))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (br $next)))))

