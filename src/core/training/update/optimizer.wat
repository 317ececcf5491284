;; What a training step does to every parameter, four of them at a time; float32 throughout. Vectors stand in memory at byte
;; offsets, their length is a multiple of four. `npm run wasm` writes it into optimizer-wasm.ts.
(module
  (memory (export "memory") 2)

  ;; One AdamW step: adamw.ts has the formula.
  (func (export "adamw")
    (param $length i32) (param $parameters i32) (param $first i32) (param $second i32) (param $gradient i32)
    (param $scale f32) (param $rate1 f32) (param $beta2 f32) (param $rate2 f32)
    (param $step_size f32) (param $correction f32) (param $epsilon f32) (param $shrink f32)
    (local $at i32) (local $end i32) (local $g v128) (local $m v128) (local $v v128)
    (local.set $end (i32.mul (local.get $length) (i32.const 4)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        ;; g = gradient scale
        (local.set $g (f32x4.mul
          (v128.load (i32.add (local.get $gradient) (local.get $at)))
          (f32x4.splat (local.get $scale))))
        ;; m = m + (1 - beta1) (g - m)
        (local.set $m (v128.load (i32.add (local.get $first) (local.get $at))))
        (local.set $m (f32x4.add
          (local.get $m)
          (f32x4.mul (f32x4.splat (local.get $rate1)) (f32x4.sub (local.get $g) (local.get $m)))))
        (v128.store (i32.add (local.get $first) (local.get $at)) (local.get $m))
        ;; v = beta2 v + (1 - beta2) g g
        (local.set $v (f32x4.add
          (f32x4.mul (f32x4.splat (local.get $beta2)) (v128.load (i32.add (local.get $second) (local.get $at))))
          (f32x4.mul (f32x4.mul (f32x4.splat (local.get $rate2)) (local.get $g)) (local.get $g))))
        (v128.store (i32.add (local.get $second) (local.get $at)) (local.get $v))
        ;; p = p shrink - step_size m / (sqrt(v) correction + epsilon)
        (v128.store (i32.add (local.get $parameters) (local.get $at)) (f32x4.sub
          (f32x4.mul
            (v128.load (i32.add (local.get $parameters) (local.get $at)))
            (f32x4.splat (local.get $shrink)))
          (f32x4.div
            (f32x4.mul (f32x4.splat (local.get $step_size)) (local.get $m))
            (f32x4.add
              (f32x4.mul (f32x4.sqrt (local.get $v)) (f32x4.splat (local.get $correction)))
              (f32x4.splat (local.get $epsilon))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next))))

  ;; average = decay average + rate values
  (func (export "blend")
    (param $length i32) (param $average i32) (param $values i32) (param $decay f32) (param $rate f32)
    (local $at i32) (local $end i32)
    (local.set $end (i32.mul (local.get $length) (i32.const 4)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (v128.store (i32.add (local.get $average) (local.get $at)) (f32x4.add
          (f32x4.mul
            (v128.load (i32.add (local.get $average) (local.get $at)))
            (f32x4.splat (local.get $decay)))
          (f32x4.mul
            (v128.load (i32.add (local.get $values) (local.get $at)))
            (f32x4.splat (local.get $rate)))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))))
