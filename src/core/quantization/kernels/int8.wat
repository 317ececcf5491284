;; What int8 quantization does to every float32 weight, four of them at a time, with the results of int8-weight.ts's formulas to
;; the last bit. Values stand in memory at byte offsets, counts are in elements. `npm run wasm` writes it into int8-wasm.ts.
(module
  (memory (export "memory") 4)

  ;; Of consecutive values of a channel, the largest |value| into $found, and behind it, from the value $first on, the largest
  ;; |sum| of two that lie $step apart (in elements). Not 0 where a value is NaN or infinite.
  (func (export "block")
    (param $values i32) (param $count i32) (param $first i32) (param $step i32) (param $found i32) (result i32)
    (local $at i32) (local $end i32) (local $last i32) (local $before i32)
    (local $x v128) (local $largest v128) (local $pair v128) (local $bad v128)
    (local.set $step (i32.shl (local.get $step) (i32.const 2)))
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $last (i32.sub (local.get $end) (i32.const 16))) ;; where the last four begin
    (local.set $at (local.get $values))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $at) (local.get $last)))
        (local.set $x (f32x4.abs (v128.load (local.get $at))))
        (local.set $bad (v128.or (local.get $bad) (f32x4.sub (local.get $x) (local.get $x))))
        (local.set $largest (f32x4.pmax (local.get $largest) (local.get $x)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $at) (local.get $end)))
        (local.set $x (f32x4.abs (v128.load32_zero (local.get $at))))
        (local.set $bad (v128.or (local.get $bad) (f32x4.sub (local.get $x) (local.get $x))))
        (local.set $largest (f32x4.pmax (local.get $largest) (local.get $x)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (local.set $at (i32.add (local.get $values) (i32.shl (local.get $first) (i32.const 2))))
    (local.set $before (i32.sub (local.get $at) (local.get $step)))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $at) (local.get $last)))
        (local.set $pair (f32x4.pmax (local.get $pair)
          (f32x4.abs (f32x4.add (v128.load (local.get $at)) (v128.load (local.get $before))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $before (i32.add (local.get $before) (i32.const 16)))
        (br $next)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $at) (local.get $end)))
        (local.set $pair (f32x4.pmax (local.get $pair)
          (f32x4.abs (f32x4.add (v128.load32_zero (local.get $at)) (v128.load32_zero (local.get $before))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $before (i32.add (local.get $before) (i32.const 4)))
        (br $next)))
    (f32.store (local.get $found) (call $largestLane (local.get $largest)))
    (f32.store offset=4 (local.get $found) (call $largestLane (local.get $pair)))
    (v128.any_true (local.get $bad)))

  (func $largestLane (param $x v128) (result f32)
    (f32.max
      (f32.max (f32x4.extract_lane 0 (local.get $x)) (f32x4.extract_lane 1 (local.get $x)))
      (f32.max (f32x4.extract_lane 2 (local.get $x)) (f32x4.extract_lane 3 (local.get $x)))))

  ;; Of values (a multiple of four) whose order does not matter, the largest |value| and the second of each of four classes: four
  ;; and four into $found. Not 0 where a value is NaN or infinite.
  (func (export "largestTwo") (param $values i32) (param $count i32) (param $found i32) (result i32)
    (local $end i32) (local $x v128) (local $largest v128) (local $second v128) (local $bad v128)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $x (f32x4.abs (v128.load (local.get $values))))
        (local.set $bad (v128.or (local.get $bad) (f32x4.sub (local.get $x) (local.get $x))))
        (local.set $second (f32x4.pmax (local.get $second) (f32x4.pmin (local.get $largest) (local.get $x))))
        (local.set $largest (f32x4.pmax (local.get $largest) (local.get $x)))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (br $next)))
    (v128.store (local.get $found) (local.get $largest))
    (v128.store offset=16 (local.get $found) (local.get $second))
    (v128.any_true (local.get $bad)))

  ;; One value of each of consecutive channels: raises their largest |value| and largest |sum| with the value before, and becomes
  ;; the value before. Not 0 where a value is NaN or infinite.
  (func (export "row")
    (param $values i32) (param $count i32) (param $largest i32) (param $pair i32) (param $before i32) (result i32)
    (local $end i32) (local $last i32) (local $x v128) (local $bad v128)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $values) (local.get $last)))
        (local.set $x (v128.load (local.get $values)))
        (local.set $bad (v128.or (local.get $bad) (f32x4.sub (local.get $x) (local.get $x))))
        (v128.store (local.get $largest) (f32x4.pmax (v128.load (local.get $largest)) (f32x4.abs (local.get $x))))
        (v128.store (local.get $pair) (f32x4.pmax (v128.load (local.get $pair))
          (f32x4.abs (f32x4.add (local.get $x) (v128.load (local.get $before))))))
        (v128.store (local.get $before) (local.get $x))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (local.set $largest (i32.add (local.get $largest) (i32.const 16)))
        (local.set $pair (i32.add (local.get $pair) (i32.const 16)))
        (local.set $before (i32.add (local.get $before) (i32.const 16)))
        (br $next)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $values) (local.get $end)))
        (local.set $x (v128.load32_zero (local.get $values)))
        (local.set $bad (v128.or (local.get $bad) (f32x4.sub (local.get $x) (local.get $x))))
        (v128.store32_lane 0 (local.get $largest)
          (f32x4.pmax (v128.load32_zero (local.get $largest)) (f32x4.abs (local.get $x))))
        (v128.store32_lane 0 (local.get $pair) (f32x4.pmax (v128.load32_zero (local.get $pair))
          (f32x4.abs (f32x4.add (local.get $x) (v128.load32_zero (local.get $before))))))
        (v128.store32_lane 0 (local.get $before) (local.get $x))
        (local.set $values (i32.add (local.get $values) (i32.const 4)))
        (local.set $largest (i32.add (local.get $largest) (i32.const 4)))
        (local.set $pair (i32.add (local.get $pair) (i32.const 4)))
        (local.set $before (i32.add (local.get $before) (i32.const 4)))
        (br $next)))
    (v128.any_true (local.get $bad)))

  ;; value / scale in float64, rounded half to even into int8. Adding 1.5 * 2^52 rounds, and leaves the integer in the lowest bits.
  ;; $scaleStep: bytes from the float32 scale of a value to that of the next, 4 or, where all have one, 0.
  (func (export "quantize")
    (param $values i32) (param $count i32) (param $scales i32) (param $scaleStep i32) (param $out i32)
    (local $end i32) (local $last i32) (local $x v128) (local $s v128)
    (local.set $end (i32.add (local.get $values) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (local.set $s (v128.load32_splat (local.get $scales)))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $values) (local.get $last)))
        (if (local.get $scaleStep) (then (local.set $s (v128.load (local.get $scales)))))
        (local.set $x (v128.load (local.get $values)))
        (v128.store32_lane 0 (local.get $out) (i8x16.shuffle 0 8 16 24 0 0 0 0 0 0 0 0 0 0 0 0
          (f64x2.add
            (f64x2.div (f64x2.promote_low_f32x4 (local.get $x)) (f64x2.promote_low_f32x4 (local.get $s)))
            (f64x2.splat (f64.const 6755399441055744)))
          (f64x2.add
            (f64x2.div
              (f64x2.promote_low_f32x4 (i8x16.shuffle 8 9 10 11 12 13 14 15 0 0 0 0 0 0 0 0 (local.get $x) (local.get $x)))
              (f64x2.promote_low_f32x4 (i8x16.shuffle 8 9 10 11 12 13 14 15 0 0 0 0 0 0 0 0 (local.get $s) (local.get $s))))
            (f64x2.splat (f64.const 6755399441055744)))))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (local.set $scales (i32.add (local.get $scales) (i32.shl (local.get $scaleStep) (i32.const 2))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (br $next)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $values) (local.get $end)))
        (i32.store8 (local.get $out) (i32.wrap_i64 (i64.reinterpret_f64 (f64.add
          (f64.div (f64.promote_f32 (f32.load (local.get $values))) (f64.promote_f32 (f32.load (local.get $scales))))
          (f64.const 6755399441055744)))))
        (local.set $values (i32.add (local.get $values) (i32.const 4)))
        (local.set $scales (i32.add (local.get $scales) (local.get $scaleStep)))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (br $next)))))
