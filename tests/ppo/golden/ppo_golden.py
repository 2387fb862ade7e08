#!/usr/bin/env python3
# ruff: noqa
# fmt: off
"""Independent float64 numpy oracle for the RLHF maths. No torch / trl import.
Run: python ppo_golden.py  -> writes ppo_golden.json next to itself and asserts hand-checked values."""
import json, math, os
import numpy as np
np.set_printoptions(precision=12)
f = np.float64
A = lambda *x: np.array(*x, dtype=f)
sig = lambda z: 1.0 / (1.0 + np.exp(-z))
logsig = lambda z: -np.logaddexp(0.0, -z)
softplus = lambda z: np.logaddexp(0.0, z)
def lsm(x, ax=-1):
    m = x.max(ax, keepdims=True); return x - m - np.log(np.exp(x - m).sum(ax, keepdims=True))
def approx(a, b, t=1e-12): assert np.allclose(a, b, rtol=0, atol=t), (a, b)
OUT = {}
def put(name, inputs, outputs, note=""):
    cv = lambda v: v.tolist() if isinstance(v, np.ndarray) else ({k: cv(w) for k, w in v.items()} if isinstance(v, dict)
         else ([cv(w) for w in v] if isinstance(v, (list, tuple)) else (float(v) if isinstance(v, np.floating) else (int(v) if isinstance(v, np.integer) else v))))
    OUT[name] = {"note": note, "inputs": cv(inputs), "outputs": cv(outputs)}

# ---------------------------------------------------------------- 1. logprob gather / alignment / temperature
# L=5 columns = [pad, x0, x1 | y0, y1], P=3, T=2, vocab 3. Logits at column c predict column c+1.
ids = np.array([[0, 2, 1, 1, 2]]); P = 3
logits = A([[[9, 9, 9], [0, 0, 0], [1, 2, 0], [0, 1, math.log(4) + 1], [7, 7, 7]]])
def gather_logprobs(logits, ids, P, tau=1.0):
    lp = lsm(logits / tau)[:, P - 1:-1]; y = ids[:, P:]
    return np.take_along_axis(lp, y[..., None], -1)[..., 0], -(np.exp(lp) * lp).sum(-1)
lp1, H1 = gather_logprobs(logits, ids, P); lp05, H05 = gather_logprobs(logits, ids, P, 0.5)
approx(lp1[0, 0], 2 - math.log(math.e + math.e**2 + 1)); approx(lp1[0, 1], math.log(4 * math.e / (1 + math.e + 4 * math.e)))
put("logprob_gather", dict(input_ids=ids, P=P, logits=logits, temperatures=[1.0, 0.5]),
    dict(logprobs_tau1=lp1, entropy_tau1=H1, logprobs_tau0_5=lp05, entropy_tau0_5=H05),
    "response token t is scored by logits column P+t-1; columns 0,1,4 must not matter")

# ---------------------------------------------------------------- 2. KL estimators (values and expected gradients)
logp = A([[-1.0, -2.0, -0.5, -3.0]]); logq = A([[-1.2, -1.5, -0.5, -2.0]]); m = A([[1, 1, 1, 0]])
d = logp - logq; k1, k2, k3 = d, 0.5 * d * d, np.exp(-d) - 1 + d
approx(k1[0, :3], [0.2, -0.5, 0.0]); approx(k2[0, :3], [0.02, 0.125, 0.0])
put("kl_estimators", dict(logp=logp, logq=logq, mask=m),
    dict(k1=k1 * m, k2=k2 * m, k3=k3 * m, seq_sum_k1=(k1 * m).sum(1), seq_sum_k3=(k3 * m).sum(1)), "d=logpi-logref, sample from pi")
th = A([0.3, -0.4, 0.9]); q = np.exp(lsm(A([0.0, 0.5, -0.2]))); p = np.exp(lsm(th)); D = np.log(p) - np.log(q)
S = np.eye(3) - p[None, :]                       # S[y] = grad_theta log p(y)
gKL = (p[:, None] * D[:, None] * S).sum(0)       # grad KL(p||q)
gFKL = -(q[:, None] * S).sum(0)                  # grad KL(q||p)
K = {"k1": D, "k2": 0.5 * D**2, "k3": np.exp(-D) - 1 + D}
dK = {"k1": np.ones(3), "k2": D, "k3": 1 - np.exp(-D)}
gr = {k: (p[:, None] * K[k][:, None] * S).sum(0) for k in K}   # estimator used DETACHED as a (negative) reward: score-function gradient
gl = {k: (p[:, None] * dK[k][:, None] * S).sum(0) for k in K}  # estimator used as a differentiable LOSS term on samples
approx(gr["k1"], gKL); approx(gl["k2"], gKL); approx(gl["k3"], gFKL); approx(gl["k1"], 0); approx(gr["k3"], gKL - gFKL)
eps = 1e-6; num = A([((lambda pp: (pp * (np.log(pp) - np.log(q))).sum())(np.exp(lsm(th + eps * np.eye(3)[i]))) -
        (lambda pp: (pp * (np.log(pp) - np.log(q))).sum())(np.exp(lsm(th - eps * np.eye(3)[i])))) / (2 * eps) for i in range(3)])
approx(num, gKL, 1e-8)
put("kl_expected_gradients", dict(theta=th, q=q), dict(p=p, KL_pq=(p * D).sum(), E_k2=(p * K["k2"]).sum(), E_k3=(p * K["k3"]).sum(),
    grad_KL_pq=gKL, grad_KL_qp=gFKL, as_reward=gr, as_loss=gl),
    "In the reward only k1 gives grad KL(pi||ref); k3-in-reward gives gradKL(p||q)-gradKL(q||p), which vanishes to 1st order near ref. As a loss: k2 -> reverse KL, k3 -> forward KL, k1 -> 0")

# ---------------------------------------------------------------- 3. reward assembly
def assemble(score, kl, mask, beta, clip=None, stop=None, eos_mode="none", eos_val=0.0, overlong=None):
    s = score.copy(); n = mask.sum(1).astype(int)
    if clip is not None: s = np.clip(s, -clip, clip)
    if overlong:  # (max_new, buffer, factor): DAPO soft penalty
        M, Bf, F = overlong; s = s - F * np.clip(n - (M - Bf), 0, Bf) / Bf
    if eos_mode == "replace": s = np.where(stop, s, eos_val)
    if eos_mode == "subtract": s = np.where(stop, s, s - eos_val)
    r = -beta * kl * mask; r[np.arange(len(n)), n - 1] += s
    return r, s
mask = A([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]); kl = A([[.1, -.2, .3, 9], [.5, .5, .5, .5], [0.4, 9, 9, 9]])
score = A([2.0, 7.0, -0.5]); stop = np.array([True, False, True])
r0, s0 = assemble(score, kl, mask, 0.1); approx(r0[0], [-.01, .02, 1.97, 0]); approx(r0[1], [-.05, -.05, -.05, 6.95]); approx(r0[2], [-.54, 0, 0, 0])
r1, s1 = assemble(score, kl, mask, 0.1, clip=5.0, stop=stop, eos_mode="replace", eos_val=-1.0); approx(r1[1, 3], -1.05)
r2, s2 = assemble(score, kl, mask, 0.1, clip=5.0, stop=stop, eos_mode="subtract", eos_val=1.0); approx(r2[1, 3], 3.95)
r3, s3 = assemble(score, kl, mask, 0.1, overlong=(4, 2, 1.0)); approx(s3, [1.5, 6.0, -0.5])
put("reward_assembly", dict(score=score, kl=kl, mask=mask, stopped=stop, beta=0.1), dict(plain=r0, clip5_replace_m1=r1, clip5_subtract_1=r2, overlong_max4_buf2_f1=r3, score_overlong=s3),
    "order: normalise -> clip -> length penalty -> missing-EOS; score lands on the last generated token (EOS or truncation), col n-1")

# ---------------------------------------------------------------- 4. GAE
def gae(r, V, mask, gamma, lam, boot=None):
    B, T = r.shape; adv = np.zeros((B, T)); nxt = np.zeros(B) if boot is None else boot.astype(f).copy(); acc = np.zeros(B)
    for t in range(T - 1, -1, -1):
        dl = r[:, t] + gamma * nxt - V[:, t]; new = dl + gamma * lam * acc; k = mask[:, t] > 0
        acc = np.where(k, new, acc); nxt = np.where(k, V[:, t], nxt); adv[:, t] = np.where(k, new, 0.0)
    return adv, (adv + V) * mask
R = A([[0.0, 0.0, 1.0, 0.0], [-.05, -.05, -.05, 1.95], [-0.54, 0, 0, 0]]); V = A([[.5, .6, .7, 99.], [.1, .2, .3, .4], [.25, 99, 99, 99]])
G = {}
for g_, l_ in ((1, 1), (1, .95), (1, 0), (.9, .8)):
    a_, ret = gae(R, V, mask, g_, l_); G[f"g{g_}_l{l_}"] = dict(adv=a_, ret=ret)
approx(G["g1_l1"]["adv"][0], [.5, .4, .3, 0]); approx(G["g1_l0"]["adv"][0], [.1, .1, .3, 0])
approx(G["g1_l0.95"]["adv"][0], [.1 + .95 * (.1 + .95 * .3), .1 + .95 * .3, .3, 0]); approx(G["g0.9_l0.8"]["adv"][0][:3], [.54 - .5 + .72 * (.63 - .6 + .72 * .3), .63 - .6 + .72 * .3, .3])
approx(G["g1_l1"]["ret"][0], [1, 1, 1, 0]); approx(G["g1_l0.95"]["adv"][2], [-.79, 0, 0, 0])
hm = A([[1, 0, 0, 1]]); ha, hr = gae(A([[0.0, 5, 5, 1.0]]), A([[.5, 50, 50, .7]]), hm, 0.9, 0.8)   # tool/observation hole
approx(ha, [[0.9 * .7 - .5 + .72 * .3, 0, 0, .3]])
tb, tbr = gae(A([[0.0, 0.0]]), A([[.5, .6]]), A([[1, 1]]), 1.0, 0.95, boot=A([.8])); approx(tb, [[.1 + .95 * .2, .2]])
def gae_trl(r_tok, score, V, n, T, gamma, lam):  # N+/TRL convention: score on col n (value of post-EOS state trained) when n<T
    r = r_tok.copy(); r[n if n < T else n - 1] += score; V = V.copy(); V[n + 1:] = 0; adv = np.zeros(T); acc = 0.0
    for t in range(T - 1, -1, -1):
        nv = V[t + 1] if t < T - 1 else 0.0; acc = r[t] + gamma * nv - V[t] + gamma * lam * acc; adv[t] = acc
    return adv
tr = gae_trl(A([0, 0, 0, 0]), 1.0, A([.5, .6, .7, .2]), 3, 4, 1.0, .95); tr1 = gae_trl(A([0, 0, 0, 0]), 1.0, A([.5, .6, .7, .2]), 3, 4, 1.0, 1.0)
approx(tr1[:3], [.5, .4, .3]); approx(tr[2], .2 - .7 + .95 * .8)
put("gae", dict(rewards=R, values=V, mask=mask, hole=dict(rewards=[[0, 5, 5, 1]], values=[[.5, 50, 50, .7]], mask=hm, gamma=.9, lam=.8),
    truncated_bootstrap=dict(rewards=[[0, 0]], values=[[.5, .6]], mask=[[1, 1]], gamma=1.0, lam=.95, boot=[.8])),
    dict(**G, hole_adv=ha, hole_ret=hr, truncated_bootstrap_adv=tb, trl_nplus_adv_lam0_95=tr, trl_nplus_adv_lam1=tr1),
    "values 99 at masked columns must not matter; lam=1,gamma=1 is independent of V after t. trl_nplus_*: compat convention (score at first pad col, V[n]=0.2)")

# ---------------------------------------------------------------- 5. masked whitening, global across ranks
def whiten(x, mk, shift=True, ddof=0, eps=1e-8):
    n = mk.sum(); mu = (x * mk).sum() / n; var = (((x - mu) ** 2) * mk).sum() / (n - ddof)
    y = (x - mu) / np.sqrt(var + eps); return (y if shift else y + mu) * mk, mu, var
x = A([[1, 2, 3, 100], [4, 100, 100, 100]]); mk = A([[1, 1, 1, 0], [1, 0, 0, 0]])
w, mu, var = whiten(x, mk); ws, _, _ = whiten(x, mk, shift=False); wb, _, varb = whiten(x, mk, ddof=1)
approx([mu, var, varb], [2.5, 1.25, 5 / 3]); approx(w[0, 0], -1.5 / math.sqrt(1.25 + 1e-8)); wl0, *_ = whiten(x[:1], mk[:1]); wl1, *_ = whiten(x[1:], mk[1:])
put("masked_whiten", dict(x=x, mask=mk, eps=1e-8), dict(mean=mu, var_pop=var, var_bessel=varb, whiten=w, whiten_no_shift=ws, whiten_bessel=wb, WRONG_per_rank=[wl0, wl1]),
    "rows = two ranks; the correct answer uses the 4 valid entries of both; per-rank answer differs and is recorded only so a test can reject it")

# ---------------------------------------------------------------- 6. clipped policy loss
def ploss(lp, old, adv, lo=.2, hi=.2, dual=None, w=None):
    r = np.exp(lp - old); a, b = -adv * r, -adv * np.clip(r, 1 - lo, 1 + hi); L = np.maximum(a, b); cf = (b > a).astype(f)
    if dual: L = np.where(adv < 0, np.minimum(L, -dual * adv), L)
    return (L if w is None else L * w), r, cf
rat = A([1.5, 1.5, .5, .5, 1.1, 5.0]); adv = A([1., -1., 1., -1., 2., -1.]); L, r_, cf = ploss(np.log(rat), np.zeros(6), adv)
approx(L, [-1.2, 1.5, -.5, .8, -2.2, 5.0]); approx(cf, [1, 0, 0, 1, 0, 0]); Ld, *_ = ploss(np.log(rat), np.zeros(6), adv, dual=3.0); approx(Ld[5], 3.0)
Lh, _, cfh = ploss(np.log(rat), np.zeros(6), adv, lo=.2, hi=.28); approx(Lh[0], -1.28); dkl = np.log(rat)
tis = np.minimum(np.exp(A([.1, -.3, 2., 0., 0., 0.])), 2.0); Lt, *_ = ploss(np.log(rat), np.zeros(6), adv, w=tis)
put("policy_loss", dict(ratio=rat, old_logp=np.zeros(6), adv=adv, eps=.2, dual_c=3.0, clip_high=.28, logp_train_minus_rollout=[.1, -.3, 2., 0., 0., 0.], tis_cap=2.0),
    dict(per_token=L, mean=L.mean(), clipfrac=cf.mean(), dual=Ld, clip_higher=Lh, tis_weights=tis, tis_per_token=Lt, approx_kl_k1=(-dkl).mean(), approx_kl_k2=(.5 * dkl**2).mean(), approx_kl_k3=(np.exp(dkl) - 1 - dkl).mean(),
    grad_wrt_logp=np.where(((adv > 0) & (rat > 1.2)) | ((adv < 0) & (rat < .8)), 0.0, -adv * rat)))

# ---------------------------------------------------------------- 7. clipped value loss
v = A([1.0, 1.0, .0, .35]); vo = A([.5, .5, .5, .3]); rt = A([1.2, .2, .9, 1.0]); vc = np.clip(v, vo - .2, vo + .2)
l1, l2 = (v - rt) ** 2, (vc - rt) ** 2; lv = .5 * np.maximum(l1, l2)
approx(vc, [.7, .7, .3, .35]); approx(lv, [.125, .32, .405, .5 * .4225])
put("value_loss", dict(v=v, v_old=vo, ret=rt, eps=.2), dict(v_clipped=vc, per_token=lv, mean=lv.mean(), clipfrac=(l2 > l1).astype(f).mean(), unclipped_mean=.5 * l1.mean(), explained_variance=1 - np.var(rt - v) / np.var(rt)))

# ---------------------------------------------------------------- 8. loss aggregation / global token normalisation
tok = A([[1, 2, 3], [10, 0, 0], [4, 4, 0]]); tm = A([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
tmn = (tok * tm).sum() / tm.sum(); smt = ((tok * tm).sum(1) / tm.sum(1)).mean(); sms = (tok * tm).sum(1).mean(); wrong = np.mean([(tok[i] * tm[i]).sum() / tm[i].sum() for i in range(3)])
approx([tmn, smt, sms], [4.0, (2 + 10 + 4) / 3, 8.0])
per_mb = [(tok[i] * tm[i]).sum() * 1 / tm.sum() for i in range(3)]; approx(sum(per_mb), 4.0)
put("loss_aggregation", dict(tokens=tok, mask=tm), dict(token_mean=tmn, seq_mean_token_mean=smt, seq_mean_token_sum=sms, seq_mean_token_sum_norm_T3=(tok * tm).sum() / (3 * 3), microbatch_terms_over_N6=per_mb, WRONG_mean_of_microbatch_means=wrong),
    "each row is one micro-batch: sum of (local token sum / global N=6) must equal 4.0 for any split; DDP/DS average needs *world_size and no /GAS")

# ---------------------------------------------------------------- 9. KL controller
def kctl(b, cur, tgt, n, H): return b * (1 + np.clip(cur / tgt - 1, -.2, .2) * n / H)
seq = [(12., 256), (6., 256), (3., 256), (6.6, 256)]; b = .2; hist = []
for c_, n_ in seq: b = kctl(b, c_, 6.0, n_, 10000); hist.append(b)
approx(hist[0], .2 * 1.00512); approx(hist[1], hist[0]); approx(hist[2], hist[1] * (1 - .2 * .0256)); approx(hist[3], hist[2] * (1 + .1 * .0256))
put("adaptive_kl", dict(init=.2, target=6.0, horizon=10000, sequence_kl_and_n=seq), dict(beta_after_each=hist), "KL = batch mean of per-sequence SUM over response tokens, all-reduced; n = global episodes in the batch")

# ---------------------------------------------------------------- 10. reward model loss
rc, rr, mg = A([1.0, -.5, 3.0]), A([.2, .1, -1.0]), A([0., .5, 2.0]); base = softplus(-(rc - rr)); withm = softplus(-(rc - rr - mg)); cen = .01 * ((rc + rr) ** 2)
approx(base[0], math.log(1 + math.exp(-.8))); approx(cen, [.0144, .0016, .04])
put("reward_model_loss", dict(chosen=rc, rejected=rr, margin=mg, center_coef=.01), dict(per_pair=base, mean=base.mean(), with_margin=withm, mean_with_margin=withm.mean(), centering_term=cen.mean(), total_margin_center=withm.mean() + cen.mean(), accuracy=(rc > rr).astype(f).mean(), label_smoothed_0_1=(.9 * base + .1 * softplus(rc - rr)).mean(), norm_mean0_bias=rc.mean()))

# ---------------------------------------------------------------- 11. preference losses
pc, pr, qc, qr = A([-10., -20.]), A([-13., -18.]), A([-11., -19.5]), A([-11.5, -19.]); nc, nr = A([5., 10.]), A([6., 8.]); be = .1; e = .1
h = (pc - qc) - (pr - qr); approx(h, [2.5, -1.5]); ha_ = (pc - qc) / nc - (pr - qr) / nr; ac, ar = pc / nc, pr / nr
Ls = {"sigmoid": -logsig(be * h), "cdpo_label_smoothing": -(1 - e) * logsig(be * h) - e * logsig(-be * h),
 "robust": (-(1 - e) * logsig(be * h) + e * logsig(-be * h)) / (1 - 2 * e), "hinge": np.maximum(0, 1 - be * h),
 "ipo_sum": (h - 1 / (2 * be)) ** 2, "ipo_token_mean_trl": (ha_ - 1 / (2 * be)) ** 2, "sigmoid_norm_beta5": -logsig(5.0 * ha_),
 "nca_pair": -logsig(be * (pc - qc)) - .5 * logsig(-be * (pc - qc)) - .5 * logsig(-be * (pr - qr)), "bco_pair_nodelta": -logsig(be * (pc - qc)) - logsig(-be * (pr - qr)),
 "sppo_hard": ((pc - qc) - .5 / be) ** 2 + ((pr - qr) + .5 / be) ** 2, "apo_zero": 1 - sig(be * (pc - qc)) + sig(be * (pr - qr)), "apo_down": sig(be * (pc - qc)) + 1 - sig(be * h)}
ql_, qw_ = sig(-be * h), sig(be * h); Ls["exo_pair_eps0_1"] = qw_ * (logsig(be * h) - math.log(1 - e)) + ql_ * (logsig(-be * h) - math.log(e))
Ls["simpo_beta2_gamma1"] = -logsig(2.0 * (ac - ar) - 1.0); Ls["cpo_sigmoid_pref_only"] = -logsig(be * (pc - pr)); nll = -pc / nc; Ls["cpo_total_alpha1"] = Ls["cpo_sigmoid_pref_only"] + 1.0 * nll
l1m = lambda z: np.log(-np.expm1(z)); lo = (ac - ar) - (l1m(ac) - l1m(ar)); Ls["orpo_or_term_lambda0_1"] = -.1 * logsig(lo); Ls["orpo_total_lambda0_1"] = nll - .1 * logsig(lo)
approx(Ls["sigmoid"], [math.log(1 + math.exp(-.25)), math.log(1 + math.exp(.15))]); approx(Ls["hinge"], [.75, 1.15]); approx(Ls["ipo_sum"], [6.25, 42.25]); approx(Ls["sppo_hard"], [(1 - 5) ** 2 + (-1.5 + 5) ** 2, (-.5 - 5) ** 2 + (1 + 5) ** 2])
approx(Ls["simpo_beta2_gamma1"], [math.log(1 + math.exp(1 - 2 * (-2 + 13 / 6))), math.log(1 + math.exp(1 - 2 * .25))]); approx(lo[0], math.log(math.exp(-2) / (1 - math.exp(-2))) - math.log(math.exp(-13 / 6) / (1 - math.exp(-13 / 6))))
put("preference_losses", dict(policy_chosen=pc, policy_rejected=pr, ref_chosen=qc, ref_rejected=qr, len_chosen=nc, len_rejected=nr, beta=be, label_smoothing=e),
    dict(h=h, h_token_mean=ha_, losses=Ls, means={k: v_.mean() for k, v_ in Ls.items()}, implicit_reward_chosen=be * (pc - qc), implicit_reward_rejected=be * (pr - qr), grad_h_sigmoid=-be * sig(-be * h), log_odds=lo),
    "sequence logps are sums over completion tokens incl. EOS. TRL 1.16: sigmoid ignores label_smoothing (use cdpo here), ipo is token-mean, simpo uses logits-gamma/beta inside beta (same thing)")
zc, zr, klb = A([1.0, -.5]), A([.4, 2.0]), .3; Lk = dict(desirable=1 - sig(be * (zc - klb)), undesirable=1 - sig(be * (klb - zr))); 
put("kto", dict(chosen_logratio=zc, rejected_logratio=zr, kl=klb, beta=be, w_des=1.0, w_und=1.5), dict(**Lk, mean=np.concatenate([1.0 * Lk["desirable"], 1.5 * Lk["undesirable"]]).mean(), kl_clamped_from_negative=max(0.0, -0.7)), "kl = max(0, global mean of mismatched logratio), detached")

# ---------------------------------------------------------------- 12. enumerable KL-regularised optimum
ref = A([.4, .3, .2, .1]); rew = A([0., 1., 2., -1.]); T_ = {}
for b_ in (.1, .5, 1.0, 5.0):
    lg = np.log(ref) + rew / b_; ps = np.exp(lsm(lg)); J = (ps * (rew - b_ * (np.log(ps) - np.log(ref)))).sum(); approx(J, b_ * np.log((ref * np.exp(rew / b_)).sum()), 1e-10)
    hst = np.log(ps) - np.log(ref); approx(b_ * (hst[:, None] - hst[None]), rew[:, None] - rew[None], 1e-9)
    T_[str(b_)] = dict(pi_star=ps, J_star=J, KL=(ps * hst).sum(), E_r=(ps * rew).sum())
put("kl_optimum", dict(ref=ref, reward=rew), T_, "pi* prop ref*exp(r/beta); DPO with labels P(y1>y2)=sigmoid(r1-r2) over all pairs and any full-support sampler has the same optimum: logratio differences = (r1-r2)/beta")
# two-token enumerable sequence toy: vocab {a,b,EOS}, max_new=2 -> 1+2*3 = 7 sequences
pi0 = A([.5, .3, .2]); seqs = [("E",)] + [(x, y) for x in "ab" for y in "abE"]; ixm = {"a": 0, "b": 1, "E": 2}
pref = A([np.prod([pi0[ixm[c]] for c in s]) for s in seqs]); approx(pref.sum(), 1.0); rs = A([sum(c == "a" for c in s) - (0.5 if s[-1] != "E" else 0.0) for s in seqs]); ps = np.exp(lsm(np.log(pref) + rs / .5))
first = A([sum(ps[i] for i, s in enumerate(seqs) if s[0] == c) for c in "abE"])
put("kl_optimum_sequence_toy", dict(token_ref=pi0, sequences=["".join(s) for s in seqs], reward=rs, beta=.5, rule="r = count(a) - 0.5 if truncated"), dict(ref_seq=pref, pi_star=ps, first_token_marginal=first, KL=(ps * np.log(ps / pref)).sum(), E_r=(ps * rs).sum()))

# ---------------------------------------------------------------- 13. memory (bytes/param)
put("deepspeed_estimator_multipliers_checked", {}, dict(z2_no_offload="2*P + 18*P/N", z2_offload_opt_gpu="2*P", z2_offload_cpu="max(4*N,16)*1.5*P", z3_no_offload="4*Lmax + 18*P/N", z3_offload_opt="4*Lmax + 2*P/N", z3_offload_all="4*Lmax", z3_offload_all_cpu_per_node="18*1.5*P/nodes"), "verified against deepspeed 0.19.8 functions with P=1e9, Lmax=5e7, N in {1,2,8}")
here = os.path.dirname(os.path.abspath(__file__)); json.dump(OUT, open(os.path.join(here, "ppo_golden.json"), "w"), indent=1)
print("ok", len(OUT), "groups"); print({k: round(float(v_.mean()), 10) for k, v_ in Ls.items()})
