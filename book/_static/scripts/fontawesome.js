/* Left empty on purpose: the theme's own copy (1.4 MB) repeats the icons that its web font already draws. */
