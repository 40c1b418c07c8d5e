"""The sizes of arms before they are trained: parameters, multiply-adds and memory, on the meta device."""
