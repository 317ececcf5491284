;; Converts floats of 16 bits and of 32 into each other, and looks for NaN and infinities. Places are in bytes; counts are of
;; elements, multiples of 8. `npm run wasm` writes it into floats-wasm.ts.
(module
  (memory (export "memory") 1)

  ;; Four float16, each in the lower half of 32 bits, as float32: exponent and fraction are put in their places and scaled by
  ;; 2^112, which is exact and takes subnormals along; all bits of the exponent stay all.
  (func $widenHalves (param $bits v128) (result v128)
    (v128.or
      (v128.or
        (f32x4.mul
          (i32x4.shl (v128.and (local.get $bits) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff)) (i32.const 13))
          (v128.const i32x4 0x77800000 0x77800000 0x77800000 0x77800000))
        (i32x4.shl (v128.and (local.get $bits) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)) (i32.const 16)))
      (v128.and
        (i32x4.ge_u
          (v128.and (local.get $bits) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff))
          (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00))
        (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))

  ;; Four float32 as float16 in the lower half of 32 bits, half to even.
  (func $narrow (param $value v128) (result v128)
    (local $magnitude v128) (local $normal v128) (local $small v128) (local $large v128)
    (local.set $magnitude (v128.and (local.get $value) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
    ;; the bias of the exponent is changed, and what falls off rounded; a carry into the exponent is right, up to infinity
    (local.set $normal
      (i32x4.shr_u
        (i32x4.add
          (i32x4.add (local.get $magnitude) (v128.const i32x4 0xc8000fff 0xc8000fff 0xc8000fff 0xc8000fff))
          (v128.and (i32x4.shr_u (local.get $magnitude) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
        (i32.const 13)))
    ;; beside 0.5 the last bit of a float32 is that of the subnormals of float16
    (local.set $small
      (i32x4.sub
        (f32x4.add (local.get $magnitude) (v128.const f32x4 0.5 0.5 0.5 0.5))
        (v128.const i32x4 0x3f000000 0x3f000000 0x3f000000 0x3f000000)))
    ;; infinity, or NaN
    (local.set $large
      (v128.bitselect
        (v128.const i32x4 0x7e00 0x7e00 0x7e00 0x7e00)
        (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00)
        (i32x4.gt_s (local.get $magnitude) (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))))
    (v128.or
      (v128.bitselect
        (local.get $small)
        (v128.bitselect
          (local.get $large)
          (local.get $normal)
          (i32x4.ge_s (local.get $magnitude) (v128.const i32x4 0x47800000 0x47800000 0x47800000 0x47800000)))
        (i32x4.lt_s (local.get $magnitude) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000)))
      (v128.and
        (i32x4.shr_u (local.get $value) (i32.const 16))
        (v128.const i32x4 0x8000 0x8000 0x8000 0x8000))))

  (func (export "brainToFloat") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (v128.store (local.get $to) (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $bits)) (i32.const 16)))
        (v128.store offset=16 (local.get $to) (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $bits)) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 32)))
        (br $next))))

  (func (export "halfToFloat") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (v128.store (local.get $to) (call $widenHalves (i32x4.extend_low_i16x8_u (local.get $bits))))
        (v128.store offset=16 (local.get $to) (call $widenHalves (i32x4.extend_high_i16x8_u (local.get $bits))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 32)))
        (br $next))))

  (func (export "floatToHalf") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (v128.store (local.get $to)
          (i16x8.narrow_i32x4_u
            (call $narrow (v128.load (local.get $from)))
            (call $narrow (v128.load offset=16 (local.get $from)))))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $next))))

  (func (export "brainToHalf") (param $from i32) (param $to i32) (param $count i32)
    (local $end i32) (local $bits v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $bits (v128.load (local.get $from)))
        (v128.store (local.get $to)
          (i16x8.narrow_i32x4_u
            (call $narrow (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $bits)) (i32.const 16)))
            (call $narrow (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $bits)) (i32.const 16)))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $next))))

  ;; Whether all bits of the exponent are set in any of the elements.
  (func (export "nonFinite32") (param $from i32) (param $count i32) (result i32)
    (local $end i32) (local $exponent v128) (local $found v128)
    (local.set $exponent (v128.const i32x4 0x7f800000 0x7f800000 0x7f800000 0x7f800000))
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $found
          (v128.or
            (local.get $found)
            (v128.or
              (i32x4.eq (v128.and (v128.load (local.get $from)) (local.get $exponent)) (local.get $exponent))
              (i32x4.eq (v128.and (v128.load offset=16 (local.get $from)) (local.get $exponent)) (local.get $exponent)))))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (br $next)))
    (v128.any_true (local.get $found)))

  ;; As nonFinite32, of 16 bits with the exponent given.
  (func (export "nonFinite16") (param $from i32) (param $count i32) (param $bits i32) (result i32)
    (local $end i32) (local $exponent v128) (local $found v128)
    (local.set $exponent (i16x8.splat (local.get $bits)))
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $found
          (v128.or
            (local.get $found)
            (i16x8.eq (v128.and (v128.load (local.get $from)) (local.get $exponent)) (local.get $exponent))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $next)))
    (v128.any_true (local.get $found))))
